"""A file by its URL: what is fetched, and all that is not, against a real HTTPS server and a net of the test's own."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import settings as how
from hypothesis import strategies as st
from starlette.requests import Request

from audiences.errors import FileNotAttached, Refusal
from audiences.fetch import MAX_REDIRECTS, Fetcher
from audiences.fetch_guard import is_public
from audiences.form import MAX_FIELD_BYTES
from audiences.inbox import Inbox
from audiences.settings import Settings, read_settings
from audiences.watch import Metrics
from conftest import settings_in
from https_server import Answer, Server, dripping, endless, endless_headers, make_certificates, ok, silent, to
from support import Client, Made, Service, started, until

HERE, OTHER, WRONG, INSIDE = (f"{name}.example.test" for name in ("files", "other", "wrong", "inside"))
LIST = b"phone1,name\n442079832100,Ann\n+44 7912 345678,Bob\n"
LIMIT = 200_000

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None and "CI" not in os.environ, reason="the server's certificate is made by openssl"
)


class Net:
    """The DNS of a test: `names` has each name's answers, one a question; the last one stays."""

    def __init__(self) -> None:
        self.names: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []
        self.reset()

    def reset(self) -> None:
        """The names that all tests have."""
        self.asked.clear()
        self.names = {name: [["127.0.0.1"]] for name in (HERE, OTHER, WRONG)} | {INSIDE: [["127.0.0.2"]]}

    async def resolve(self, host: str, _port: int) -> list[str]:
        """The next answer."""
        self.asked.append(host)
        answers = self.names.get(host, [])
        if not answers:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def is_public(self, address: str) -> bool:
        """As it really is, but for the one address that the test's server has."""
        return address == "127.0.0.1" or is_public(address)

    def fetcher(self, settings: Settings) -> Fetcher:
        """A fetcher in this net."""
        return Fetcher(settings, self.resolve, self.is_public)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The authority's and the server's certificates."""
    return make_certificates(tmp_path_factory.mktemp("certificates"), (HERE, OTHER))


@pytest.fixture(scope="module")
def trusted(certificates: Path) -> Iterator[None]:
    """Trust in that authority, as an operator would give it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
        yield


@pytest.fixture(scope="module")
def the_server(certificates: Path) -> Iterator[Server]:
    """The server that files are fetched from."""
    made = Server(certificates)
    yield made
    made.listener.close()


@pytest.fixture(scope="module")
def the_net() -> Net:
    """The names of all tests here."""
    return Net()


@pytest.fixture
def server(the_server: Server) -> Server:
    """The server, with a list to fetch and nothing seen."""
    the_server.answers = {"/list.csv": ok(LIST)}
    the_server.seen.clear()
    the_server.connections = 0
    the_server.left.clear()
    return the_server


@pytest.fixture
def net(the_net: Net) -> Net:
    """The names, as at the beginning."""
    the_net.reset()
    return the_net


@contextmanager
def serving(settings: Settings, net: Net) -> Iterator[Service]:
    """The service in that net."""

    def change(parts: Any) -> Any:
        return replace(parts, inbox=Inbox(parts.inbox.spool, settings, parts.metrics, net.fetcher(settings)))

    with started(settings, change) as running:
        yield running


@pytest.fixture(scope="module")
def service(
    tmp_path_factory: pytest.TempPathFactory, the_server: Server, the_net: Net, trusted: None
) -> Iterator[Service]:
    """The service, which allows these hosts."""
    assert trusted is None
    hosts = ",".join(f"{name}:{the_server.port}" for name in (HERE, OTHER, WRONG, INSIDE))
    bounds = {"max_upload_bytes": LIMIT, "receive_idle_timeout_s": 0.8, "receive_timeout_s": 2.0}
    chosen = read_settings({"AUDIENCES_URL_HOSTS": f"{hosts}, *.example.test:{the_server.port}"}).url_hosts
    with serving(settings_in(tmp_path_factory.mktemp("service"), url_hosts=chosen, **bounds), the_net) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Client]:
    """A client; whatever happened, nothing of it is left in the spool."""
    with service.client() as made:
        yield made
    assert left_in(service.parts.settings.data / "spool") == []


def left_in(spool: Path) -> list[Path]:
    """What lies in the spool; the last upload may be tidying up."""
    for _ in range(100):
        if not (left := list(spool.iterdir())):
            return []
        time.sleep(0.02)
    return left


def send(client: Client, text: str, **given: Any) -> httpx.Response:
    """An upload with that text in place of its file."""
    return client.post(None, audience_file=text, **given)


def refused(response: httpx.Response, code: str, status: int = 400) -> str:
    """The message of a refusal, which must have that code."""
    error = response.json()["errors"][0]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return str(error["message"])


pytestmark = needs_openssl


def test_a_file_by_its_url_becomes_an_audience_as_if_it_had_been_attached(client: Client, server: Server) -> None:
    server.answers["/a/customers%202.csv?token=secret"] = ok(LIST)
    response = send(client, server.url("/a/customers%202.csv?token=secret", HERE))
    assert response.status_code == 201, response.text
    fetched, attached = Made(client, response.json()["data"]["id"]).report, client.create(LIST).report
    assert fetched["files"][0]["name"] == "customers 2.csv"
    for report in (fetched, attached):
        del report["id"], report["created_time"], report["files"][0]["name"]
        report.pop("updated_time", None)
    assert fetched == attached


def test_a_packed_file_by_its_url_is_unpacked_as_an_attached_one_is(client: Client, server: Server) -> None:
    server.answers["/list.csv.gz"] = ok(gzip.compress(LIST), "Content-Type: application/gzip")
    assert send(client, server.url("/list.csv.gz", HERE)).status_code == 201


def test_a_body_in_chunks_is_a_whole_file_once_its_last_chunk_is_there(client: Client, server: Server) -> None:
    chunks = b"%x\r\n%b\r\n" % (len(LIST), LIST)
    server.answers["/whole"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    server.answers["/broken"] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    assert send(client, server.url("/whole", HERE)).status_code == 201
    refused(send(client, server.url("/broken", HERE)), "url_unreachable")


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('attachment; filename="../../etc/pass\twd.csv"', "passwd.csv"),
        ("attachment; filename=a.csv; filename*=UTF-8''B%c3%bccher%2Fb.csv", "b.csv"),
        ("attachment; filename*=utf-8''B%c3%bccher.csv", "Bücher.csv"),
        ("inline", "list.csv"),
    ],
)
def test_the_server_may_name_the_file_and_the_name_is_cleaned(
    client: Client, server: Server, header: str, name: str
) -> None:
    server.answers["/list.csv"] = ok(LIST, f"Content-Disposition: {header}")
    made = Made(client, send(client, server.url("/list.csv", HERE)).json()["data"]["id"])
    assert made.report["files"][0]["name"] == name


def test_a_repeated_request_is_answered_alike_while_the_file_is_the_same(client: Client, server: Server) -> None:
    key = {"Idempotency-Key": "one"}
    first = send(client, server.url("/list.csv", HERE), headers=key)
    again = send(client, server.url("/list.csv", HERE), headers=key)
    assert again.json()["data"] == first.json()["data"]
    assert again.headers["idempotency-replayed"] == "true"
    server.answers["/list.csv"] = ok(LIST + b"447912345679,Cy\n")
    refused(send(client, server.url("/list.csv", HERE), headers=key), "idempotency_key_reused", 422)


def test_a_fetch_that_failed_is_tried_again_under_the_same_key(client: Client, server: Server) -> None:
    key = {"Idempotency-Key": "two"}
    server.answers["/list.csv"] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    assert "status 503" in refused(send(client, server.url("/list.csv", HERE), headers=key), "url_unreachable")
    server.answers["/list.csv"] = ok(LIST)
    assert send(client, server.url("/list.csv", HERE), headers=key).status_code == 201


def test_nothing_of_the_callers_request_is_forwarded(client: Client, server: Server) -> None:
    server.answers["/start"] = to(f"https://{OTHER}:{server.port}/list.csv#part")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        assert send(client, server.url("/start", HERE), headers={"Cookie": "a=b", "Referer": "x"}).status_code == 201
    heads = [head.decode().removesuffix("\r\n\r\n").split("\r\n") for head in server.seen]
    assert heads == [
        [
            f"GET {path} HTTP/1.1",
            f"Host: {host}:{server.port}",
            "User-Agent: audiences",
            "Accept: */*",
            "Accept-Encoding: identity",
        ]
        for path, host in (("/start", HERE), ("/list.csv", OTHER))
    ]


def test_the_log_and_the_answer_never_hold_the_url(
    client: Client, server: Server, capfd: pytest.CaptureFixture[str]
) -> None:
    server.answers["/sec-ret?tok-en"] = b"HTTP/1.1 404 hid-den\r\nContent-Length: 7\r\n\r\nhid-den"
    texts = [
        send(client, server.url("/sec-ret?tok-en", HERE)).text,
        send(client, server.url("/", "priv-ate.test")).text,
    ]
    send(client, server.url("/list.csv", HERE))
    printed = capfd.readouterr().err
    assert '"event":"fetched","bytes":50,"milliseconds":' in printed.replace(f'"bytes":{len(LIST)}', '"bytes":50')
    for word in ("sec-ret", "tok-en", "hid-den", "priv-ate", HERE, "127.0.0.1"):
        assert word not in printed + "".join(texts)


@pytest.mark.parametrize(
    "place", ["/list.csv", f"https://{OTHER}:PORT/list.csv", f"//{OTHER}:PORT/list.csv", "../x/../list.csv"]
)
@pytest.mark.parametrize("status", [301, 308])
def test_a_redirect_to_an_allowed_host_is_followed(client: Client, server: Server, place: str, status: int) -> None:
    server.answers["/start"] = to(place.replace("PORT", str(server.port)), status)
    assert send(client, server.url("/start", HERE)).status_code == 201


@pytest.mark.parametrize(
    "place",
    [
        "https://elsewhere.test/list.csv",
        f"https://{HERE}/list.csv",
        f"http://{HERE}:PORT/list.csv",
        f"https://{INSIDE}:PORT/list.csv",
        "https://127.0.0.1:PORT/list.csv",
        "https://169.254.169.254/latest/meta-data/",
        "https://[::1]:PORT/list.csv",
        "https://[",
        f"https://{OTHER}@{HERE}:PORT/list.csv",
        "file:///etc/passwd",
        "data:text/csv,phone1",
    ],
)
def test_a_redirect_is_judged_as_the_url_itself_is(client: Client, server: Server, place: str) -> None:
    server.answers["/start"] = to(place.replace("PORT", str(server.port)))
    message = refused(send(client, server.url("/start", HERE)), "url_not_allowed")
    assert message == refused(send(client, "https://elsewhere.test/"), "url_not_allowed")
    assert server.connections == 1


def test_redirects_without_end_are_given_up(client: Client, server: Server) -> None:
    server.answers["/start"] = to("/start")
    assert "more than 5 times" in refused(send(client, server.url("/start", HERE)), "url_unreachable")
    assert server.connections == 1 + MAX_REDIRECTS


@pytest.mark.parametrize(
    "addresses",
    [["127.0.0.2"], ["127.0.0.1", "10.0.0.1"], ["127.0.0.1", "::1"], ["169.254.169.254"], ["::ffff:127.0.0.1"], []],
)
def test_one_address_that_is_not_public_forbids_the_host(
    client: Client, server: Server, net: Net, addresses: list[str]
) -> None:
    net.names[HERE] = [addresses]
    message = refused(send(client, server.url("/list.csv", HERE)), "url_not_allowed")
    assert server.connections == 0
    assert message == refused(send(client, "https://elsewhere.test/"), "url_not_allowed")
    assert message == refused(send(client, server.url("/", "nowhere.example.test")), "url_not_allowed")


def test_a_name_is_resolved_once_so_that_a_second_answer_counts_for_nothing(
    client: Client, server: Server, net: Net
) -> None:
    net.names[HERE] = [["127.0.0.1"], ["10.0.0.1"]]
    assert send(client, server.url("/list.csv", HERE)).status_code == 201
    assert (net.asked, server.connections) == ([HERE], 1)


def test_a_redirect_to_the_same_host_is_resolved_and_judged_again(client: Client, server: Server, net: Net) -> None:
    net.names[HERE] = [["127.0.0.1"], ["10.0.0.1"]]
    server.answers["/start"] = to("/list.csv")
    refused(send(client, server.url("/start", HERE)), "url_not_allowed")
    assert (net.asked, server.connections) == ([HERE, HERE], 1)


def test_the_next_address_is_tried_where_one_takes_no_connections(server: Server, net: Net, trusted: None) -> None:
    assert trusted is None
    net.names[HERE] = [["127.0.0.3", "127.0.0.1"]]
    fetcher = Fetcher(Settings(url_hosts=(f"{HERE}:{server.port}",)), net.resolve, lambda _: True)

    async def read() -> bytes:
        async with fetcher.fetch(server.url("/list.csv", HERE)) as found:
            return (await found.next_chunk())[0]

    assert asyncio.run(read()) == LIST


def test_the_real_resolver_and_the_real_judge_refuse_the_servers_own_machine(server: Server) -> None:
    fetcher = Fetcher(Settings(url_hosts=(f"localhost:{server.port}",)))
    assert code_of(fetcher, server.url("/list.csv", "localhost")) == "url_not_allowed"
    assert server.connections == 0


def code_of(fetcher: Fetcher, url: str) -> str:
    """The code of the refusal of that URL."""

    async def ask() -> None:
        async with fetcher.fetch(url):
            pass

    with pytest.raises(Refusal) as caught:
        asyncio.run(ask())
    return caught.value.code


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "2130706433",
        "017700000001",
        "0x7f000001",
        "0x7f.0.0.1",
        "127.1",
        "0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "１２７.0.0.1",
        "127。0。0。1",
        "127.0.0.1.",
        "a:b@HERE",
        "HERE@127.0.0.1",
        "HERE%2eevil",
        "127.0.0.1%2f.HERE",
        "HERE\\@127.0.0.1",
        "HERE&@127.0.0.1#",
        "HERE.evil.test",
        "evilexample.test",
        "-HERE",
        "example.test",
    ],
)
def test_a_host_that_is_no_allowed_name_is_never_connected_to(
    client: Client, server: Server, net: Net, host: str
) -> None:
    text = f"https://{host.replace('HERE', HERE)}:{server.port}/list.csv"
    message = refused(send(client, text), "url_not_allowed")
    assert text not in message
    assert (net.asked, server.connections) == ([], 0)


@pytest.mark.parametrize("host", [HERE.upper(), f"{HERE}.", "ｆiles.example.test", "files。example.test"])
def test_an_allowed_host_is_known_in_every_spelling(client: Client, server: Server, host: str) -> None:
    assert send(client, f"  HTTPS://{host}:{server.port}/list.csv\n").status_code == 201


def test_a_certificate_that_is_not_the_hosts_ends_the_fetch(client: Client, server: Server) -> None:
    assert "certificate" in refused(send(client, server.url("/list.csv", WRONG)), "url_unreachable")
    assert server.seen == []


def test_a_certificate_of_an_unknown_authority_ends_the_fetch(server: Server, net: Net) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("SSL_CERT_FILE", raising=False)
        settings = Settings(url_hosts=(f"{HERE}:{server.port}",))
        assert code_of(net.fetcher(settings), server.url("/list.csv", HERE)) == "url_unreachable"
    assert server.seen == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (dripping, "longer than 2 seconds"),
        (silent, "did not answer in time"),
        (endless_headers, "is not HTTP"),
        (lambda _: None, "broke off"),
        (b"not HTTP at all\r\n\r\n", "is not HTTP"),
        (ok(LIST, length=len(LIST) + 1), "broke off"),
        (ok(b"", "Content-Length: 7"), "is not HTTP"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + LIST, "does not say where it ends"),
        (ok(gzip.compress(LIST), "Content-Encoding: gzip"), "Content-Encoding"),
        (ok(gzip.compress(LIST), "Content-Encoding: identity", "Content-Encoding: gzip"), "Content-Encoding"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404"),
        (b"HTTP/1.1 206 Partial\r\nContent-Length: 0\r\n\r\n", "status 206"),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "status 302"),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "is not HTTP"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_answer_that_is_not_the_whole_file_is_none(
    client: Client, server: Server, answer: Answer, words: str
) -> None:
    server.answers["/x"] = answer
    assert words in refused(send(client, server.url("/x", HERE)), "url_unreachable")


@pytest.mark.parametrize("answer", [endless, ok(b"", length=LIMIT + 1), ok(b"1" * (LIMIT + 1))], ids=["", "lie", "all"])
def test_a_file_over_the_limit_is_refused_as_an_attached_one_is(client: Client, server: Server, answer: Answer) -> None:
    server.answers["/x"] = answer
    assert "200,000 bytes" in refused(send(client, server.url("/x", HERE)), "body_too_large", 413)


def test_an_announced_length_that_the_disk_has_no_room_for_is_not_fetched(
    tmp_path: Path, server: Server, net: Net, trusted: None
) -> None:
    assert trusted is None
    reserve = shutil.disk_usage(tmp_path).free - 2**30
    hosts = (f"{HERE}:{server.port}",)
    server.answers["/x"] = ok(b"1", length=2**32 - 1)
    with serving(settings_in(tmp_path, url_hosts=hosts, min_free_bytes=reserve), net) as tight, tight.client() as made:
        refused(send(made, server.url("/x", HERE)), "disk_full", 507)


def test_a_port_that_nobody_listens_on_is_unreachable(net: Net) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    fetcher = net.fetcher(Settings(url_hosts=(f"{HERE}:{port}",)))
    assert code_of(fetcher, f"https://{HERE}:{port}/") == "url_unreachable"


def test_a_client_that_goes_away_ends_the_fetch(client: Client, server: Server, service: Service) -> None:
    server.answers["/x"] = silent
    body = form(server.url("/x", HERE))
    head = (
        f"POST /audiences HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {client.key}\r\n"
        f"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2]))) as connection:
        connection.sendall(head.encode() + body)
        assert until(lambda: bool(server.seen))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert server.left.wait(5)
    gone = service.parts.metrics.requests.labels("POST", "/audiences", "499")
    assert until(lambda: gone._value.get() == 1)  # and it was not that the fetch timed out


def test_a_server_that_stops_ends_the_fetch_and_empties_the_spool(
    tmp_path: Path, server: Server, net: Net, trusted: None
) -> None:
    assert trusted is None
    server.answers["/x"] = silent
    settings = settings_in(tmp_path, url_hosts=(f"{HERE}:{server.port}",), min_free_bytes=0)
    inbox = Inbox(tmp_path, settings, Metrics(), net.fetcher(settings))
    messages = [{"type": "http.request", "body": form(server.url("/x", HERE))}]

    async def receive() -> Any:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def upload() -> None:
        headers = [(b"content-type", b"multipart/form-data; boundary=x")]
        async with inbox.receive(Request({"type": "http", "headers": headers}, receive)):
            pass

    async def stop() -> None:
        task = asyncio.create_task(upload())
        assert await asyncio.to_thread(until, lambda: bool(server.seen))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(stop())
    assert list(tmp_path.iterdir()) == []
    assert server.left.wait(5)


def form(url: str) -> bytes:
    """A form with that URL, its boundary x."""
    fields: Mapping[str, str] = {"name": "n", "audience_file": url}
    parts = [f'--x\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}\r\n' for key in fields]
    return "".join([*parts, "--x--\r\n"]).encode()


@pytest.mark.parametrize("text", ["customers.csv", "http://files.example.test/a", "ftp://x/", "", "https:/x", "\xff"])
def test_any_other_text_is_a_file_that_was_not_attached(client: Client, net: Net, text: str) -> None:
    message = refused(send(client, text), "file_not_attached")
    assert message == FileNotAttached().message  # and not a word of what was sent
    assert net.asked == []


def test_a_whole_file_sent_as_text_is_told_so_and_a_url_without_end_is_refused(client: Client, net: Net) -> None:
    refused(send(client, "phone1\n" + "442079832100\n" * 1000), "file_not_attached")
    refused(send(client, f"https://{HERE}/" + "a" * MAX_FIELD_BYTES), "field_too_long", 413)
    assert net.asked == []


def test_a_form_that_lacks_something_else_causes_no_fetch(client: Client, server: Server, net: Net) -> None:
    refused(send(client, server.url("/list.csv", HERE), name=None), "missing_field")
    both: list[tuple[str, Any]] = [
        ("name", (None, "n")),
        ("audience_file", (None, server.url("/x", HERE))),
        ("audience_file", ("a.csv", LIST)),
    ]
    refused(client.http.post("/audiences", files=both), "repeated_field")
    assert net.asked == []


def test_files_by_url_are_off_unless_hosts_are_allowed(start: Callable[..., Service], server: Server) -> None:
    with start().client() as made:
        message = refused(send(made, server.url("/list.csv", HERE)), "file_not_attached")
        assert message == refused(send(made, "customers.csv"), "file_not_attached")
        refused(send(made, f"https://{HERE}/" + "a" * MAX_FIELD_BYTES), "file_not_attached")
    assert server.connections == 0


def test_a_server_starts_without_loading_what_fetches_or_reads_files() -> None:
    code = "import sys, audiences.parts; print([m for m in ('httpcore', 'idna', 'polars') if m in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


PIECES = (
    "https:// HTTPS:// http:// // / \\ @ : ? # % . [ ] files.example.test files EXAMPLE.test .test 127.0.0.1 ::1 443 80"
)
TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from([*PIECES.split(), " ", "\t", "\n", "\0", "\xad", "。", "é"]), max_size=9).map("".join),
    st.builds("https://{}files.example.test{}".format, st.text(max_size=3), st.text(max_size=5)),
)


@how(max_examples=200, deadline=None)
@given(TEXTS)
def test_no_text_but_an_allowed_https_url_ever_causes_a_question_to_the_net(text: str) -> None:
    """What is asked for is what another reader of URLs takes to be the host, too."""
    asked: list[tuple[str, int]] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append((host, port))
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    assert code_of(Fetcher(Settings(url_hosts=("files.example.test:443",)), resolve), text) == "url_not_allowed"
    assert asked in ([], [("files.example.test", 443)])
    if asked:
        other = urlsplit(text)
        spelling = (other.hostname or "").replace("\xad", "").replace("。", ".").removesuffix(".")
        assert spelling.encode("idna") == b"files.example.test"
        assert (other.scheme, other.port or 443, other.username) == ("https", 443, None)
