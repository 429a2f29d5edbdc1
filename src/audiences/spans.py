"""Spans, as OpenTelemetry makes and sends them. Only `tracing` imports this, and only where traces are asked for.

A span holds what is named here and nothing of the caller's: no path, host, address, message of an error, and none of
its `tracestate`, since each of them may quote a person. The provider is our own: another may be the process's.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import Span, SpanKind, StatusCode, format_trace_id, use_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from audiences import __version__
from audiences.errors import Refusal
from audiences.watch import log

# Seconds that a stop waits for the collector to take what is left: one that is out of reach must not hold it up.
FLUSH_S = 3.0

# Seconds until the same warning is logged again.
REPEAT_S = 60.0
FAULTS_FROM = 500


class Traces:
    """Makes spans, which a thread sends in batches. All that is not said here, the SDK reads from its variables."""

    def __init__(self) -> None:
        for name in ("opentelemetry", "urllib3"):
            library = logging.getLogger(name)
            library.handlers, library.propagate = [Warned()], False
        ours = Resource.create({"service.name": "audiences", "service.version": __version__})
        resource = ours.merge(OTELResourceDetector().detect())
        self.provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self.exporter: SpanExporter = OTLPSpanExporter()
        self.provider.add_span_processor(BatchSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("audiences", __version__)

    @contextmanager
    def request(self, method: str, scope: Scope) -> Iterator[RequestSpan]:
        """The span of a request, under the trace that its `traceparent` names, if it has one."""
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
        parent = TraceContextTextMapPropagator().extract({"traceparent": given} if len(given) == 1 else {})
        name, value = ("HTTP", "_OTHER") if method == "other" else (method, method)
        known = {"http.request.method": value, "url.scheme": scope["scheme"]}
        with within(span := self.tracer.start_span(name, parent, SpanKind.SERVER, attributes=known)):
            yield RequestSpan(span, name)

    def step(self, name: str) -> AbstractContextManager[None]:
        """The span of one step."""
        return within(self.tracer.start_span(name))

    def close(self) -> None:
        """Sends what is left, as far as the collector takes it within `FLUSH_S`."""
        ending = threading.Thread(target=self.provider.shutdown, daemon=True)
        ending.start()
        ending.join(FLUSH_S)
        if ending.is_alive():
            self.exporter.shutdown()


class RequestSpan:
    """The span of a request under way."""

    def __init__(self, span: Span, name: str) -> None:
        self.span = span
        self.name = name
        self.trace = format_trace_id(span.get_span_context().trace_id)

    def answered(self, route: str | None, status: int) -> None:
        """Names the span by its route (the template), and notes the answer; a status of 0 stands for none."""
        if route is not None:
            self.span.update_name(f"{self.name} {route}")
            self.span.set_attribute("http.route", route)
        if status:
            self.span.set_attribute("http.response.status_code", status)
        if status >= FAULTS_FROM:
            self.span.set_attribute("error.type", str(status))
            self.span.set_status(StatusCode.ERROR)


@contextmanager
def within(span: Span) -> Iterator[None]:
    """Ends `span` with the block. What broke it off is named by its type alone: a message may quote a cell."""
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__name__)
            if not isinstance(error, Refusal) or error.status >= FAULTS_FROM:
                span.set_status(StatusCode.ERROR)
            raise


class Warned(logging.Handler):
    """Logs a library's warning as a line of ours, once a minute, and of its values only those that hold no secret."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: dict[str, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Logs the text that the values would stand in, and those that are numbers or kinds of errors."""
        now, text = time.monotonic(), str(record.msg)
        if now - self.said.get(text, -REPEAT_S) < REPEAT_S:
            return
        self.said[text] = now
        given = record.args if isinstance(record.args, tuple) else ()
        errors = [type(value).__name__ for value in given if isinstance(value, Exception)]
        log("traces_warning", text=text, values=[*errors, *(value for value in given if isinstance(value, int))])
