"""Traces: a span for each request and each step of an upload, sent where the variables of OpenTelemetry say.

OpenTelemetry is an extra, imported (by `spans`) only where it is asked for. The steps of a request find what traces it
in a context variable, which follows them into threads; without it, nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING

from starlette.types import Scope

from audiences.errors import CannotOpen

if TYPE_CHECKING:
    from audiences.spans import RequestSpan, Traces

current: ContextVar[Traces | None] = ContextVar("traces", default=None)


def opened(environment: Mapping[str, str]) -> Traces | None:
    """What makes and sends spans, if that is asked for. Raises CannotOpen where it is and cannot be done."""
    endpoint, protocol = exporting(environment, "ENDPOINT"), exporting(environment, "PROTOCOL")
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    if not endpoint or exporter == "none" or environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return None
    if exporter != "otlp":
        raise CannotOpen("OTEL_TRACES_EXPORTER takes otlp, or none for no traces.")
    if protocol not in {"", "http/protobuf"}:
        raise CannotOpen(
            "OTEL_EXPORTER_OTLP_PROTOCOL takes http/protobuf alone, for which collectors listen on port 4318. "
            "OTEL_TRACES_EXPORTER=none turns traces off."
        )
    if not endpoint.lower().startswith(("http://", "https://")):  # not repeated: it may hold a password
        raise CannotOpen("OTEL_EXPORTER_OTLP_ENDPOINT takes an address such as http://localhost:4318.")
    try:
        from audiences.spans import Traces
    except ImportError:
        raise CannotOpen(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and what sends them is not installed. "
            "Install it: pip install 'audiences[telemetry]'"
        ) from None
    return Traces()


def exporting(environment: Mapping[str, str], name: str) -> str:
    """What a variable of the exporter says, for traces or for all signals; an empty one counts as not set."""
    both = (f"OTEL_EXPORTER_OTLP_TRACES_{name}", f"OTEL_EXPORTER_OTLP_{name}")
    return next((text for variable in both if (text := environment.get(variable, "").strip())), "")


@contextmanager
def request(traces: Traces | None, method: str, scope: Scope) -> Iterator[RequestSpan | None]:
    """The span of one request, which has to be told the answer before the block ends; None without traces."""
    if traces is None:
        yield None
        return
    before = current.set(traces)
    try:
        with traces.request(method, scope) as begun:
            yield begun
    finally:
        current.reset(before)


def span(name: str) -> AbstractContextManager[None]:
    """The span of one step of the request that is being carried out."""
    traces = current.get()
    return nullcontext() if traces is None else traces.step(name)
