"""What holds for every route and module: headers, the log, what a refusal gives away, and what is never called."""

from __future__ import annotations

import ast
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

import audiences
from audiences import browsers, exposure, keys
from audiences.console.table import PAGES
from audiences.keys import PEOPLE, READ, WRITE
from audiences.route_table import ROUTES
from audiences.settings import Settings
from audiences.store import keys as stored_keys
from console import signed_in
from support import Client, Service, until

SOURCES = sorted(Path(audiences.__file__).parent.rglob("*.py"))

CANARY = "zanzibar442079832155"
# What an attacker of a log tries: another line, another field, and a terminal's own commands.
FORGED = f'{CANARY}\r\n{{"event":"forged"}}\x1b[31m\u2028\\u000a"'


def called(node: ast.Call) -> str:
    """The name of what is called: `eval`, `os.system`."""
    function = node.func
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return f"{function.value.id}.{function.attr}"
    return function.id if isinstance(function, ast.Name) else ""


def imported(node: ast.Import | ast.ImportFrom) -> set[str]:
    """The packages that a line imports from."""
    names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
    return {name.partition(".")[0] for name in names}


FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "hashlib.md5", "hashlib.sha1"}
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "yaml", "jsonpickle", "xmlrpc"}


def test_nothing_is_evaluated_unpickled_or_run_by_a_shell() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert called(node) not in FORBIDDEN_CALLS, path
                assert "shell" not in {keyword.arg for keyword in node.keywords}, path
            elif isinstance(node, ast.Import | ast.ImportFrom):
                assert not imported(node) & FORBIDDEN_MODULES, path


def asked(path: str) -> str:
    """A route's path with something in each of its places."""
    return re.sub(r"\{[^}]*\}", "123456", path)


def test_every_answer_of_every_route_says_what_a_browser_may_do_with_it(service: Service) -> None:
    with service.client(scopes=(READ, WRITE, PEOPLE)) as client, signed_in(service) as browser:
        made = client.create("phone1\n442079832100\n")
        answers = [client.http.request(route.method, asked(route.path)) for route in ROUTES]
        answers += [browser.request(page.method, asked(page.path)) for page in PAGES]
        whole = (f"/audiences/{made.id}/contacts", f"/audiences/{made.id}/rejects", "/suppressions")
        answers += [client.http.get(path, headers={"Accept": kind}) for path in whole for kind in ("*/*", "text/csv")]
        tag = client.http.get(whole[0]).headers["ETag"]
        answers += [client.http.get(whole[0], headers={"If-None-Match": tag})]
        answers += [client.http.get(path) for path in ("/", "/none", "/docs/none", "/console/static/none", "/console")]
        answers += [client.http.get(path) for path in ("/docs/swagger-ui.css", "/console/static/style.css")]
        answers += [client.http.request("TRACE", "/audiences"), client.http.options("/audiences")]
    assert {answer.status_code for answer in answers} >= {200, 303, 304, 400, 404, 405}
    for answer in answers:
        for name in browsers.HEADERS:
            assert name in answer.headers, (answer.request.url, name)
        policy = answer.headers["Content-Security-Policy"]
        for part in ("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"):
            assert part in policy, answer.request.url
        assert "script-src 'self' 'unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Access-Control-Allow-Origin" not in answer.headers
        assert "Strict-Transport-Security" not in answer.headers
        assert "server" not in answer.headers


def test_what_is_no_request_is_answered_with_the_same_headers(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), 20) as connection:
        connection.sendall(b"no request\r\n\r\n")
        said = b"".join(iter(lambda: connection.recv(65536), b"")).decode().lower()
    for name, value in browsers.HEADERS.items():
        assert f"{name}: {value}\r\n".lower() in said


def test_where_the_service_is_https_every_answer_asks_browsers_for_nothing_else(start: Callable[..., Service]) -> None:
    service = start(public_url="HTTPS://audiences.example.com")
    with service.client() as client:
        for path in ("/audiences", "/none", "/docs", "/console", "/console/static/style.css", "/healthz"):
            said = client.http.get(path).headers["Strict-Transport-Security"]
            assert int(re.findall(r"max-age=(\d+)", said)[0]) >= 31536000
            assert "includeSubDomains" in said


def test_who_signs_out_leaves_nothing_in_the_browser(service: Service) -> None:
    with signed_in(service) as browser:
        token = re.findall(r'data-csrf="([^"]*)"', browser.get("/console/account").text)[0]
        out = browser.post("/console/sign-out", data={"csrf": token}, headers={"Origin": service.url})
        assert out.status_code == 303
        assert "cache" in out.headers["Clear-Site-Data"]


def test_markup_in_names_and_cells_is_text_on_every_page(service: Service) -> None:
    markup = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'`"
    account = service.account()
    with service.client(account) as client, signed_in(service, account) as browser:
        cell = markup.replace('"', '""')
        made = client.create(
            f'phone1,"{cell}"\n442079832100,"{cell}"\nbad,"{cell}"\n', name=markup, file_name="a<b>.csv"
        )
        paths = ("", "/contacts", "/rejects")
        pages = [browser.get(f"/console/audiences/{made.id}{path}").text for path in paths]
        pages.append(browser.get("/console/audiences").text)
        pages.append(browser.get("/console/audiences", params={"name": markup}).text)
    assert sum("onerror=alert(1)&gt;" in page for page in pages) >= 4
    for page in pages:
        assert "<img src=x" not in page
        assert "<script>" not in page


def lines(capfd: pytest.CaptureFixture[str], wanted: int) -> list[str]:
    """The lines of the log since the last look, once so many are of requests: one is written behind its answer."""
    read: list[str] = []

    def enough() -> bool:
        read.append(capfd.readouterr().err)
        return sum("".join(read).count(f'"event":"{name}"') for name in ("request", "refused_connection")) >= wanted

    assert until(enough)
    return "".join(read).splitlines()


def raw(service: Service, method: str, path: str, key: str, text: str) -> bytes:
    """A request as no client library would send it, with the canary wherever a header takes it."""
    dirty = text.replace("\r\n", "").encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n".encode()
    for name in ("User-Agent", "Referer", "X-Request-ID", "Idempotency-Key", "X-Forwarded-For", "Cookie", "Accept"):
        head += name.encode() + b": " + dirty + b"\r\n"
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), 20) as connection:
        connection.sendall(head + b"Content-Length: 0\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))


def test_the_log_stays_one_line_an_event_and_holds_nothing_that_was_sent(
    service: Service, capfd: pytest.CaptureFixture[str]
) -> None:
    """A session over every route and every page, with a canary in each place that takes a text."""
    with service.client(scopes=(READ, WRITE, PEOPLE)) as client, signed_in(service) as browser:
        capfd.readouterr()
        cell = FORGED.replace('"', '""')
        made = client.create(f'phone1,note\n442079832155,"{cell}"\n442079832157,\nbad,{CANARY}\n', name=CANARY)
        client.post(f"phone1\n{CANARY}\n", name=FORGED, file_name=FORGED)
        made.append(f"phone1\n442079832156,{CANARY}\n", file_name=CANARY, sheet=CANARY, phone_column=FORGED)
        client.http.patch(f"/audiences/{made.id}", json={"name": f"other {CANARY}"})
        client.http.post("/suppressions", json={"phones": ["442079832155", FORGED]})
        client.http.get("/contacts/442079832155")
        client.http.get(f"/audiences/{made.id}/contacts", params={"search": FORGED, "phone": "442079832155"})
        client.http.delete("/contacts/442079832155")
        sent = 8
        every = [(route.method, route.path) for route in ROUTES] + [(page.method, page.path) for page in PAGES]
        for method, path in every:
            filled = re.sub(r"\{[^}]*\}", CANARY, path.replace("{id}", made.id))
            filled += f"?name={CANARY}&cursor={CANARY}&link={CANARY}"
            raw(service, method, filled, client.key, FORGED.replace("\x1b", ""))
            sent += 1
        assert b" 400 " in raw(service, "GET", "/audiences", client.key, FORGED)
        for page in PAGES:
            browser.request(page.method, asked(page.path), data={"email": CANARY, "password": CANARY, "name": FORGED})
        said = lines(capfd, sent + 1 + len(PAGES))
    events = [json.loads(line) for line in said]
    assert {item["event"] for item in events} <= {"request", "fault", "swept", "refused_connection"}
    assert not [item for item in events if item["event"] == "fault"]
    text = "\n".join(said)
    for secret in (CANARY, "zanzibar", "442079832155", "forged", client.key, "\x1b", browser.cookies["session"]):
        assert secret not in text
    by_key = {item.get("key") for item in events}
    assert client.http.headers["Authorization"].removeprefix("Bearer ") not in by_key
    assert any(item.get("key") for item in events)
    assert any(item.get("user") for item in events)


def test_a_line_of_a_fault_has_no_text_and_no_value_of_what_failed(caplog: pytest.LogCaptureFixture) -> None:
    from audiences.watch import JsonLines, log_fault

    def fail(cell: str) -> None:
        raise ValueError(f"cannot read {cell}")

    try:
        fail(CANARY)
    except ValueError as error:
        with caplog.at_level("ERROR", logger="audiences"):
            import logging

            logging.getLogger("audiences").addHandler(caplog.handler)
            log_fault("fault", error)
            logging.getLogger("audiences").removeHandler(caplog.handler)
    line = JsonLines().format(caplog.records[-1])
    assert CANARY not in line
    assert json.loads(line)["error"] == "ValueError"
    assert all(re.fullmatch(r"[\w.]+\.py:\d+", place) for place in json.loads(line)["at"])


@contextmanager
def counted(service: Service) -> Iterator[list[str]]:
    """The statements that the catalog is sent while the block lasts, without the values in them."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: Any) -> None:
        sent.append(statement)

    event.listen(service.parts.database.engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(service.parts.database.engine, "before_cursor_execute", note)


def told(answer: Any) -> tuple[Any, ...]:
    """All that an answer says but for its time and the request's id."""
    body = answer.json()
    body.pop("response_time")
    headers = {name: value for name, value in answer.headers.items() if name not in {"date", "x-request-id"}}
    return answer.status_code, body, headers


def test_a_key_that_lets_nobody_in_costs_and_says_the_same_whatever_is_wrong_with_it(
    start: Callable[..., Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, not timed: a clock on a busy machine proves nothing, and what is not done takes no time."""
    service = start()
    account = service.account()
    texts = {"unknown": keys.mint()}
    for name in ("expired", "revoked"):
        key_id, texts[name] = service.parts.keys.create(account, name, days=1)
        gone = {"expires_time": 1} if name == "expired" else {"revoked_time": 1}
        with service.parts.database.write() as connection:
            stored_keys.change(connection, key_id, **gone)
    hashed: list[str] = []
    real = keys.hash_of

    def hash_of(text: str) -> bytes:
        hashed.append(text)
        return real(text)

    monkeypatch.setattr(keys, "hash_of", hash_of)
    found = set()
    with service.client(account) as client:
        client.http.get("/audiences")
        for text in texts.values():
            hashed.clear()
            with counted(service) as sent:
                answer = client.http.get("/audiences", headers={"Authorization": f"Bearer {text}"})
            found.add((json.dumps(told(answer)), tuple(sent), len(hashed)))
    assert len(found) == 1
    assert next(iter(found))[2] == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/audiences/{}"),
        ("GET", "/audiences/{}/contacts"),
        ("GET", "/audiences/{}/rejects"),
        ("PATCH", "/audiences/{}"),
        ("DELETE", "/audiences/{}"),
        ("POST", "/audiences/{}/restore"),
    ],
)
def test_the_id_of_another_account_s_audience_costs_and_says_what_an_unknown_one_does(
    service: Service, client: Client, method: str, path: str
) -> None:
    with service.client() as other:
        foreign = other.create("phone1\n442079832100\n").id
    body = {"name": "x"} if method == "PATCH" else None
    client.http.request(method, path.format("999999999998"), json=body)  # whatever is done once is done
    seen = []
    for audience in (foreign, "999999999999"):
        with counted(service) as sent:
            answer = client.http.request(method, path.format(audience), json=body)
        assert answer.status_code == 404
        seen.append((json.dumps(told(answer)).replace(audience, "ID"), sent))
    assert seen[0] == seen[1]


@pytest.mark.parametrize(
    ("given", "host", "environment", "whom"),
    [
        ({}, "127.0.0.1", {}, []),
        ({}, "::1", {}, []),
        ({}, "localhost", {}, []),
        ({}, "0.0.0.0", {}, ["callers"]),
        ({}, "::", {}, ["callers"]),
        ({"public_url": "http://audiences.example.com"}, "10.0.0.5", {}, ["callers"]),
        ({"public_url": "https://audiences.example.com"}, "0.0.0.0", {}, []),
        ({"metrics_address": ("0.0.0.0", 9090)}, "127.0.0.1", {}, ["metrics"]),
        ({"database_url": "postgresql://u:p@db.example.com/a"}, "127.0.0.1", {}, ["catalog"]),
        ({"database_url": "postgresql://u:p@db.example.com/a?sslmode=require"}, "127.0.0.1", {}, ["catalog"]),
        ({"database_url": "postgresql://u:p@db.example.com/a?sslmode=verify-full"}, "127.0.0.1", {}, []),
        ({"database_url": "postgresql://u:p@db.example.com/a"}, "127.0.0.1", {"PGSSLMODE": "verify-full"}, []),
        ({"database_url": "postgresql://u:p@[::1]:5432/a"}, "127.0.0.1", {}, []),
        ({"database_url": "postgresql:///a?host=/run/postgresql"}, "127.0.0.1", {}, []),
        ({"database_url": "postgresql://one:5432,two:5432/a"}, "127.0.0.1", {}, ["catalog"]),
        ({"redis_url": "redis://:p@cache:6379/0"}, "127.0.0.1", {}, ["counters"]),
        ({"redis_url": "rediss://:p@cache:6379/0"}, "127.0.0.1", {}, []),
        ({"redis_url": "redis://localhost:6379"}, "127.0.0.1", {}, []),
        ({"storage_url": "s3://b"}, "127.0.0.1", {"AWS_ENDPOINT_URL": "http://objects:9000"}, ["storage"]),
        ({"storage_url": "s3://b"}, "127.0.0.1", {"AWS_ENDPOINT_URL": "https://objects:9000"}, []),
        ({}, "127.0.0.1", {"AWS_ENDPOINT_URL": "http://objects:9000"}, []),
    ],
)
def test_a_start_says_whom_it_speaks_to_in_the_clear(
    given: dict[str, Any], host: str, environment: dict[str, str], whom: list[str]
) -> None:
    said = list(exposure.unencrypted(Settings(**given), host, environment))
    assert [one for one, _ in said] == whom
    assert all(advice.endswith(".") and "p@" not in advice for _, advice in said)


def test_serve_warns_in_its_log_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    command = [sys.executable, "-m", "audiences.cli", "serve", "--host", "0.0.0.0", "--data", str(tmp_path / "file")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    first = json.loads(done.stderr.splitlines()[0])
    assert (first["level"], first["event"], first["with_whom"]) == ("warning", "unencrypted", "callers")
    assert "https" in first["advice"]
