"""What the operator sees: a line of JSON for each request, and counters for Prometheus.

Nothing here may hold a cell, a phone number, an audience's or file's name, or a key (invariant 6): a line has fields
that are named here, never a free text of the caller's. The one exception is the request id, whose alphabet is closed.
"""

from __future__ import annotations

import logging
import re
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from audiences import clock
from audiences.models import FileReport

logger = logging.getLogger("audiences")

REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")

# Seconds, from a page of a small audience to ten million rows.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The counters of one process. Their names and labels stand in `docs/operating.md`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "audiences_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "audiences_request_seconds", "Seconds to an answer", ["route"], buckets=BUCKETS, registry=self.registry
        )
        self.steps = Histogram(
            "audiences_step_seconds",
            "Seconds of a step of an upload: receive, sniff, read, judge, deduplicate, write, sync, commit",
            ["step"],
            buckets=BUCKETS,
            registry=self.registry,
        )
        self.rows = Counter("audiences_rows", "Rows read, by what became of them", ["outcome"], registry=self.registry)
        self.received = Counter("audiences_received_bytes", "Bytes of files received", registry=self.registry)
        self.running = Gauge("audiences_uploads_running", "Uploads under way", registry=self.registry)
        self.engine_running = Gauge("audiences_engine_running", "Places of the engine in use", registry=self.registry)
        self.engine_waiting = Gauge(
            "audiences_engine_waiting", "Requests that wait for a place in the engine", registry=self.registry
        )
        self.engine_refused = Counter(
            "audiences_engine_refused", "Requests refused since too many waited", registry=self.registry
        )
        self.throttle_local = Gauge(
            "audiences_throttle_local",
            "1 while this node counts rate limits by itself, since Redis is out of reach",
            registry=self.registry,
        )
        self.throttle_local_decisions = Counter(
            "audiences_throttle_local_decisions",
            "Requests that this node counted by itself for that reason",
            registry=self.registry,
        )
        self.swept = Counter(
            "audiences_swept_files", "Files removed: of old versions, and what no row refers to", registry=self.registry
        )

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Times one step of an upload."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.steps.labels(name).observe(time.perf_counter() - begun)

    def count_file(self, file: FileReport) -> None:
        """Counts a file that was read and judged."""
        self.received.inc(file.bytes)
        for outcome in ("accepted", "duplicates", "suppressed", "rejected"):
            self.rows.labels(outcome).inc(getattr(file, outcome))


def request_id(given: str | None) -> str:
    """The caller's own id of the request if it is one, or a new one."""
    if given is not None and REQUEST_ID.fullmatch(given):
        return given
    return secrets.token_hex(8)


def log(event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One line: an event and its fields."""
    logger.info(event, extra={"fields": fields})


def warn(event: str, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One line for what the operator should look at."""
    logger.warning(event, extra={"fields": fields})


def log_fault(event: str, error: BaseException, **fields: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One line for a fault of ours: where it was raised, but not what it said, since that may quote a cell."""
    trace, places = error.__traceback__, []
    while trace is not None:
        places.append(f"{trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno}")
        trace = trace.tb_next
    logger.error(event, extra={"fields": fields | {"error": type(error).__name__, "at": places[-12:]}})


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        head = {"time": clock.in_milliseconds(int(record.created * 1000)), "level": record.levelname.lower()}
        line = head | {"event": record.getMessage()} | getattr(record, "fields", {})
        return msgspec.json.encode(line).decode()


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to standard error, as it is at the time of writing."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """The stream of now."""
        return sys.stderr


def configure_logging() -> None:
    """Sends our lines, and the warnings of the HTTP server, to standard error."""
    handler = StandardError()
    handler.setFormatter(JsonLines())
    for name, level in (("audiences", logging.INFO), ("uvicorn.error", logging.ERROR)):
        target = logging.getLogger(name)
        target.handlers, target.propagate = [handler], False
        target.setLevel(level)
    # These libraries' warnings quote what the caller sent.
    for name in ("python_multipart", "python_multipart.multipart"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
