"""Traces: what a collector receives of the real server, what it never receives, and what it costs where it is away."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from audiences import clock, parts, tracing
from audiences.errors import CannotOpen
from audiences.keys import Keys
from audiences.spans import FLUSH_S, Traces
from conftest import settings_in
from support import Client, until

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLED = {"traceparent": f"00-{TRACE}-{CALLER}-01"}
SHEET = "phone1,note\n442079832100,hello\n442079832101,there\nnobody,here\n"
STEPS = ["receive", "sniff", "read", "deduplicate", "write", "sync", "commit"]
SERVER, ERROR = 2, 2  # the kind of a span, and the code of its status


@dataclass(frozen=True)
class Span:
    """A span as it was received, in the form in which tests ask for it."""

    name: str
    trace: str
    id: str
    parent: str
    kind: int
    status: int
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    begun: int
    events: int


@dataclass
class Collector:
    """Takes what is sent to it by OTLP over HTTP."""

    url: str
    bodies: list[bytes] = field(default_factory=list)
    heads: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)

    def spans(self) -> list[Span]:
        """All spans received, in the order in which they began."""
        sent = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        groups = [(group, scope) for one in sent for group in one.resource_spans for scope in group.scope_spans]
        found = [read(span, group.resource.attributes) for group, scope in groups for span in scope.spans]
        return sorted(found, key=lambda span: span.begun)

    def answered(self, count: int = 1) -> list[Span]:
        """The spans of requests, once there are so many."""
        assert until(lambda: len(self.requests()) >= count)
        return self.requests()

    def requests(self) -> list[Span]:
        """The spans of requests."""
        return [span for span in self.spans() if span.kind == SERVER]

    def below(self, above: Span) -> list[Span]:
        """The spans that belong to one."""
        return [span for span in self.spans() if span.parent == above.id]


def read(span: Any, resource: Any) -> Span:
    """A span out of its message."""
    return Span(
        span.name,
        span.trace_id.hex(),
        span.span_id.hex(),
        span.parent_span_id.hex(),
        span.kind,
        span.status.code,
        values(span.attributes),
        values(resource),
        span.start_time_unix_nano,
        len(span.events),
    )


def values(pairs: Any) -> dict[str, Any]:
    """Attributes by name."""
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in pairs}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a port of its own."""

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.heads.append((self.path, dict(self.headers)))
            collector.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()


@dataclass
class Traced:
    """A server of its own process."""

    client: Client
    process: subprocess.Popen[str]
    lines: list[str]

    def stop(self) -> float:
        """Ends it as a supervisor does; seconds that it took."""
        begun = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)
        return time.monotonic() - begun

    def logged(self, event: str) -> list[dict[str, Any]]:
        """The lines of its log, each of which has to be JSON, on one kind of event."""
        return [line for line in map(json.loads, list(self.lines)) if line["event"] == event]


def environment(**variables: str) -> dict[str, str]:
    """The variables of a process: none of OpenTelemetry's but those that are given."""
    plain = {name: text for name, text in os.environ.items() if not name.startswith("OTEL_")}
    return plain | {"AUDIENCES_RATE_LIMIT": "off", "AUDIENCES_READ_RATE_LIMIT": "off", **variables}


COMMAND = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data"]


@contextmanager
def serving(data: Path, **variables: str) -> Iterator[Traced]:
    """A server that was started as the command line starts it."""
    with parts.opened_catalog(settings_in(data)) as database:
        key = Keys(database, clock.now).create(1, "traces", scopes=["audiences:read", "audiences:write", "people"])[1]
    variables = {"OTEL_BSP_SCHEDULE_DELAY": "50"} | variables
    process = subprocess.Popen([*COMMAND, str(data)], stderr=subprocess.PIPE, env=environment(**variables), text=True)
    with process, ExitStack() as stack:
        stack.callback(process.kill)
        assert process.stderr is not None
        first = process.stderr.readline()
        assert '"event":"serving"' in first, first
        lines: list[str] = []
        told = threading.Thread(target=lambda: lines.extend(line for line in process.stderr or () if line[0] == "{"))
        told.start()
        http = httpx.Client(base_url=json.loads(first)["address"], headers={"Authorization": f"Bearer {key}"})
        yield Traced(Client(stack.enter_context(http), key, 1), process, lines)
        process.kill()
        told.join()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Traced, Collector]]:
    with (
        collecting() as collector,
        serving(tmp_path_factory.mktemp("traced"), OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as server,
    ):
        yield server, collector


@pytest.fixture
def traced(shared: tuple[Traced, Collector]) -> tuple[Traced, Collector]:
    """One server for the tests that need no other, and its collector, which has forgotten the tests before."""
    server, collector = shared
    last = secrets.token_hex(16)
    server.client.http.get("/healthz", headers={"traceparent": f"00-{last}-{CALLER}-01"})
    assert until(lambda: any(span.trace == last for span in collector.spans()))
    collector.bodies.clear()
    return shared


def test_an_upload_is_one_trace_with_its_steps_under_the_id_that_the_caller_sent(
    traced: tuple[Traced, Collector],
) -> None:
    server, collector = traced
    assert server.client.post(SHEET, headers=CALLED).status_code == 201

    (request,) = collector.answered()
    assert (request.name, request.trace, request.parent) == ("POST /audiences", TRACE, CALLER)
    assert request.attributes == {
        "http.request.method": "POST",
        "http.route": "/audiences",
        "http.response.status_code": 201,
        "url.scheme": "http",
    }
    assert [step.name for step in collector.below(request)] == STEPS
    assert {(step.trace, step.status) for step in collector.below(request)} == {(TRACE, 0)}
    assert request.resource["service.name"] == "audiences"
    assert collector.heads[-1][0] == "/v1/traces"


def test_the_log_s_line_of_a_request_names_its_trace(traced: tuple[Traced, Collector]) -> None:
    server, collector = traced
    server.client.http.get("/healthz", headers={"X-Request-ID": "this-one"})

    (request,) = collector.answered()
    assert until(lambda: any(line["request"] == "this-one" for line in server.logged("request")))
    (line,) = [line for line in server.logged("request") if line["request"] == "this-one"]
    assert line["trace"] == request.trace


@pytest.mark.parametrize("given", ["nonsense", f"00-{'0' * 32}-{CALLER}-01", f"ff-{TRACE}-{CALLER}-01", "0" * 600])
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(traced: tuple[Traced, Collector], given: str) -> None:
    server, collector = traced
    assert server.client.http.get("/healthz", headers={"traceparent": given}).status_code == 200
    (request,) = collector.answered()
    assert request.parent == ""
    assert request.trace != TRACE


def test_a_refused_file_says_where_it_ended_and_is_no_failure_of_the_server(traced: tuple[Traced, Collector]) -> None:
    server, collector = traced
    assert server.client.post("name,mail\na,b\n").status_code == 400

    (request,) = collector.answered()
    *_, last = collector.below(request)
    assert (last.name, last.attributes) == ("sniff", {"error.type": "MissingPhoneColumn"})
    assert (request.attributes["http.response.status_code"], request.status, last.status) == (400, 0, 0)


def test_nothing_of_the_caller_s_is_in_any_span(traced: tuple[Traced, Collector]) -> None:
    server, collector = traced
    phone, secret = "442079832100", "Ermintrude"
    http = server.client.http
    odd = {
        "tracestate": f"a={secret}",
        "baggage": f"a={secret}",
        "User-Agent": secret,
        "Host": f"{secret}.example.com",
        "X-Request-ID": phone,
        "X-Forwarded-For": "203.0.113.77",
        **CALLED,
    }
    sheet = f"phone1,{secret},phone2\n{phone},{secret},{phone}\n{secret},{phone},\n"
    made = server.client.post(sheet, name=secret, file_name=f"{secret}-{phone}.csv", headers=odd)
    audience = made.json()["data"]["id"]
    asked = [
        server.client.post(f"{secret}\n{phone}\n", name=secret, file_name=secret, headers=odd),
        server.client.post(sheet.encode()[:-1] + b'"\xff', name=secret, phone_column=secret, headers=odd),
        server.client.post(sheet, name=secret, default_region=secret, headers=odd),
        http.get(f"/audiences/{audience}/contacts", params={"phone": phone, "search": secret}, headers=odd),
        http.get(f"/audiences/{audience}/contacts", headers=odd | {"Accept": "text/csv"}),
        http.get(f"/contacts/{phone}", headers=odd),
        http.post("/suppressions", json={"phones": [phone, secret]}, headers=odd),
        http.get(f"/{secret}/{phone}", params={"q": secret}, headers=odd),
        http.get(f"/console/{secret}", headers=odd),
        http.request("PROPFIND", f"/audiences/{phone}", headers=odd),
        http.get("/audiences", headers=odd | {"Authorization": f"Bearer {secret}"}),
    ]

    spans = collector.answered(1 + len(asked))
    assert {span.name for span in spans} >= {"GET /contacts/{phone}", "GET", "GET /console/*"}
    assert {span.events for span in collector.spans()} == {0}
    sent = b"".join(collector.bodies).lower()
    for text in (phone, secret, server.client.key, audience, "203.0.113.77", phone[2:]):
        assert text.lower().encode() not in sent, text


def test_what_breaks_a_request_off_is_named_by_its_type_and_not_by_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "calls")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=trial")
    with collecting() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", f"{collector.url}/here")
        traces = tracing.opened(os.environ)
        assert traces is not None
        scope = {"headers": [], "scheme": "http"}
        with (
            pytest.raises(ValueError, match="442079832100"),
            tracing.request(traces, "GET", scope),
            tracing.span("read"),
        ):
            raise ValueError("442079832100")
        with tracing.request(traces, "other", scope) as failing:
            assert failing is not None
            failing.answered("/audiences", 503)
        traces.close()

        broken, failed = collector.requests()
        assert (broken.status, broken.attributes["error.type"]) == (ERROR, "ValueError")
        assert [step.attributes for step in collector.below(broken)] == [{"error.type": "ValueError"}]
        assert (failed.name, failed.status, failed.attributes["error.type"]) == ("HTTP /audiences", ERROR, "503")
        assert failed.attributes["http.request.method"] == "_OTHER"
        assert b"442079832100" not in b"".join(collector.bodies)
        assert broken.resource["service.name"] == "calls"
        assert broken.resource["deployment.environment.name"] == "trial"
        assert collector.heads[0][0] == "/here"


def test_a_wait_for_a_place_in_the_engine_is_seen(tmp_path: Path) -> None:
    sheet = "phone1\n" + "".join(f"4479{row:08d}\n" for row in range(50_000))
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "AUDIENCES_UPLOADS_AT_ONCE": "1"}
        with serving(tmp_path, **variables) as server, ThreadPoolExecutor(3) as pool:
            assert {made.status_code for made in pool.map(server.client.post, [sheet] * 3)} == {201}
            requests = collector.answered(3)
        steps = [[step.name for step in collector.below(request)] for request in requests]
        assert ["receive", "wait", *STEPS[1:]] in steps


def test_sigterm_sends_what_is_left(tmp_path: Path) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "3600000"}
        with serving(tmp_path, **variables) as server:
            assert server.client.post(SHEET, headers=CALLED).status_code == 201
            assert collector.requests() == []
            server.stop()
        assert [span.trace for span in collector.requests()] == [TRACE]


def test_the_standard_sampler_is_heeded(tmp_path: Path) -> None:
    with collecting() as collector:
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_TRACES_SAMPLER": "always_off"}
        with serving(tmp_path, **variables) as server:
            assert server.client.post(SHEET).status_code == 201
            server.stop()
        assert collector.bodies == []


def test_a_collector_that_is_away_delays_no_request_and_hardly_a_stop(tmp_path: Path) -> None:
    """Whether it takes connections and never answers, or refuses them: both at once, as each stop takes seconds."""
    with (
        far_from_collector(tmp_path / "silent", is_listening=True) as silent,
        far_from_collector(tmp_path / "gone", is_listening=False) as gone,
        ThreadPoolExecutor(2) as threads,
    ):
        list(threads.map(ask_and_stop, (silent, gone)))
    assert "hunter2" not in "".join((*silent.lines, *gone.lines))
    assert "ConnectionError" in json.dumps(gone.logged("traces_warning"))


@contextmanager
def far_from_collector(data: Path, *, is_listening: bool) -> Iterator[Traced]:
    """A server whose collector is away."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections, and never answers
        port = deaf.getsockname()[1]
        if not is_listening:
            deaf.close()
        away = f"http://user:hunter2@127.0.0.1:{port}/hunter2"
        with serving(data, OTEL_EXPORTER_OTLP_ENDPOINT=away, OTEL_EXPORTER_OTLP_HEADERS="k=hunter2") as server:
            yield server


def ask_and_stop(server: Traced) -> None:
    """Requests, and a stop, each as soon as it is due."""
    assert server.client.post(SHEET).status_code == 201
    time.sleep(0.3)  # a batch is on its way
    begun = time.monotonic()
    for _ in range(20):
        assert server.client.http.get("/healthz").status_code == 200
    assert time.monotonic() - begun < 2
    assert server.stop() < FLUSH_S + 3


REFUSED = [
    ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "http/protobuf alone"),
    ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "http/protobuf alone"),
    ({"OTEL_TRACES_EXPORTER": "zipkin"}, "otlp"),
    ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "hunter2:4318"}, "http://localhost:4318"),
]


@pytest.mark.parametrize(("variables", "words"), REFUSED)
def test_what_cannot_be_sent_refuses_to_start(variables: dict[str, str], words: str) -> None:
    with pytest.raises(CannotOpen, match=words) as refused:
        tracing.opened({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", **variables})
    assert "hunter2" not in str(refused.value)


def test_without_the_packages_a_start_says_how_to_install_them(tmp_path: Path) -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; from audiences.cli import main; main()"
    command = [sys.executable, "-c", code, *COMMAND[3:], str(tmp_path)]
    asked = environment(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    done = subprocess.run(command, capture_output=True, text=True, env=asked, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'audiences[telemetry]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318", "OTEL_SDK_DISABLED": "True"},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318", "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_SERVICE_NAME": "audiences"},
    ],
)
def test_there_are_no_traces_unless_they_are_asked_for(variables: dict[str, str]) -> None:
    assert tracing.opened(variables) is None


UNASKED = """
import os, signal, sys, threading
from pathlib import Path
import httpx
from audiences import server
from audiences.settings import Settings

def ask(address):
    headers = {"Authorization": f"Bearer {sys.argv[2]}"}
    form = {"name": (None, "x"), "audience_file": ("x.csv", b"phone1\\n442079832100\\n")}
    print(httpx.post(address + "/audiences", headers=headers, files=form).status_code)
    print([name for name in sys.modules if name.startswith("opentelemetry")], flush=True)
    os.kill(os.getpid(), signal.SIGTERM)

def announce(address, token):
    threading.Thread(target=ask, args=(address,)).start()

server.serve(Settings(data=Path(sys.argv[1])), "127.0.0.1", 0, announce)
"""


def test_unasked_nothing_of_opentelemetry_is_imported(tmp_path: Path) -> None:
    with parts.opened_catalog(settings_in(tmp_path)) as database:
        key = Keys(database, clock.now).create(1, "traces")[1]
    command = [sys.executable, "-c", UNASKED, str(tmp_path), key]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env=environment(), timeout=60, check=False)
    assert done.stdout == "201\n[]\n"


def test_the_tracer_of_the_process_stays_whoever_s_it_is() -> None:
    from opentelemetry import trace

    before = trace.get_tracer_provider()
    traces = Traces()
    assert trace.get_tracer_provider() is before
    traces.close()
