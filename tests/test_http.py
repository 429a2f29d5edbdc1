"""What comes over the wire, well-formed or not: every answer has the envelope and nothing is left behind."""

from __future__ import annotations

import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audiences.creation import Creation
from audiences.exports import MAX_OF_ACCOUNT
from audiences.parts import Parts
from audiences.protocol import MAX_HEADER_BYTES
from conftest import settings_in
from support import Client, Service, remade, started

BOUNDARY = b"x" * 20


def talk(service: Service, *pieces: bytes | float, timeout: float = 20) -> bytes:
    """Sends pieces of bytes, waits where a piece is a number of seconds, and returns all that comes back."""
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout) as connection:
        for piece in pieces:
            if isinstance(piece, float):
                time.sleep(piece)
                continue
            try:
                connection.sendall(piece)
            except (BrokenPipeError, ConnectionResetError):  # the server has answered and hung up
                break
        received = b""
        while True:
            try:
                chunk = connection.recv(65536)
            except ConnectionResetError:
                return received
            if not chunk:
                return received
            received += chunk


def envelope(answer: bytes) -> tuple[int, dict[str, Any]]:
    """Status and body of one answer, which must have the envelope."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    found = json.loads(body)
    assert found["status"] == status
    assert found["errors"][0]["message"]
    return status, found


def request(key: str, length: int | str, *, method: str = "POST", extra: str = "") -> bytes:
    """The head of an upload."""
    return (
        f"{method} /audiences HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY.decode()}\r\nContent-Length: {length}\r\n{extra}\r\n"
    ).encode()


def part(name: str, content: bytes, file_name: str | None = None) -> bytes:
    """A part of a form."""
    file = f'; filename="{file_name}"' if file_name is not None else ""
    head = f'Content-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode()
    return b"--" + BOUNDARY + b"\r\n" + head + content + b"\r\n"


END = b"--" + BOUNDARY + b"--\r\n"
WHOLE = part("name", b"x") + part("audience_file", b"phone1\n442079832100\n", "a.csv") + END


def spool(service: Service) -> list[Path]:
    """What lies in the spool; the last upload may be tidying up."""
    folder = service.parts.settings.data / "spool"
    for _ in range(100):
        if not (left := list(folder.iterdir())):
            return []
        time.sleep(0.02)
    return left


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"NONSENSE\r\n\r\n", 400, "malformed_request"),
        (b"GET / HTTP/9.9\r\n\r\n", 400, "malformed_request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_request"),
        (
            b"POST /audiences HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999999999999999\r\n\r\n",
            400,
            "malformed_request",
        ),
        (b"POST /audiences HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "malformed_request"),
        (
            b"POST /audiences HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            400,
            "malformed_request",
        ),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + b"a" * MAX_HEADER_BYTES + b"\r\n\r\n", 413, "headers_too_large"),
        (b"GET /" + b"a" * MAX_HEADER_BYTES, 413, "headers_too_large"),
        (b"GET /nowhere HTTP/1.0\r\n\r\n", 404, "unknown_path"),
        (b"PATCH /audiences HTTP/1.0\r\n\r\n", 405, "method_not_allowed"),
        (b"BREW /audiences HTTP/1.0\r\n\r\n", 400, "malformed_request"),
    ],
)
def test_what_the_server_or_framework_would_say_itself_has_the_envelope(
    service: Service, sent: bytes, status: int, code: str
) -> None:
    answered, body = envelope(talk(service, sent))
    assert (answered, body["errors"][0]["code"]) == (status, code)


def test_405_names_the_methods_that_there_are(client: Client) -> None:
    response = client.http.request("PATCH", "/audiences")
    assert response.headers["allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize("path", ["/AUDIENCES", "/Audiences"])
def test_path_segments_match_in_any_case(client: Client, path: str) -> None:
    assert client.http.get(path).status_code == 200


def test_an_absurd_length_is_refused_before_a_byte_of_the_body_is_sent(service: Service, client: Client) -> None:
    status, body = envelope(talk(service, request(client.key, 10**15)))
    assert (status, body["errors"][0]["code"]) == (413, "body_too_large")


def test_a_stranger_is_refused_before_a_byte_of_the_body_is_sent(service: Service) -> None:
    status, body = envelope(talk(service, request("aud_wrong", 10**6)))
    assert (status, body["description"]) == (401, "Unauthorized")


def test_who_goes_on_sending_what_was_refused_gets_to_read_why(service: Service) -> None:
    """Closed while bytes still come, the connection would be reset, and the answer lost with it."""
    pieces = [part for number in range(20) for part in (b"X-%d: %s\r\n" % (number, b"a" * 8000), 0.01)]
    status, body = envelope(talk(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", *pieces))
    assert (status, body["errors"][0]["code"]) == (413, "headers_too_large")


def test_a_large_header_block_in_many_pieces_is_refused(service: Service) -> None:
    pieces = [b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(60)]
    status, body = envelope(talk(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n", *pieces))
    assert (status, body["errors"][0]["code"]) == (413, "headers_too_large")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (WHOLE[: -len(END)], 400, "truncated_body"),
        (part("name", b"x"), 400, "truncated_body"),
        (b"", 400, "truncated_body"),
        (b"--wrong\r\n\r\n", 400, "malformed_request"),
        (b"name=x&audience_file=y", 400, "malformed_request"),
        (b"".join(part(f"f{number}", b"") for number in range(101)) + END, 413, "too_many_parts"),
        (part("name", b"x" * 9000) + END, 413, "field_too_long"),
        (part("name", b"\xff\xfe") + END, 400, "invalid_field"),
        (part("x" * 5000, b"x") + END, 413, "headers_too_large"),
        (END, 400, "missing_field"),
        (part("name", b"x") + part("audience_file", b"", "") + END, 400, "missing_field"),
    ],
)
def test_a_broken_form_is_told_what_is_broken_and_leaves_nothing(
    service: Service, client: Client, body: bytes, status: int, code: str
) -> None:
    answered, found = envelope(talk(service, request(client.key, len(body)) + body))
    assert (answered, found["errors"][0]["code"]) == (status, code)
    assert spool(service) == []


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("application/json", "not_multipart"),
        ("multipart/form-data", "not_multipart"),
        ("multipart/form-data; boundary=" + "x" * 300, "not_multipart"),
        ("", "not_multipart"),
    ],
)
def test_a_body_that_is_no_form_is_a_400(client: Client, kind: str, code: str) -> None:
    response = client.http.post("/audiences", content=b"{}", headers={"Content-Type": kind})
    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, code)


def test_a_compressed_body_is_told_to_compress_the_file(client: Client) -> None:
    response = client.post("phone1\n442079832100\n", headers={"Content-Encoding": "gzip"})
    assert response.status_code == 400
    assert ".gz" in response.json()["errors"][0]["message"]


def test_a_client_that_goes_away_leaves_nothing(service: Service, client: Client) -> None:
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(request(client.key, 10**7) + WHOLE[:100] + b"4420" * 50_000)
        time.sleep(0.1)
    assert spool(service) == []
    assert client.get("/audiences")["data"] == []


def test_a_body_may_come_byte_by_byte_and_in_chunks(service: Service, client: Client) -> None:
    head = request(client.key, 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    chunks = [b"1\r\n%c\r\n" % byte for byte in WHOLE]
    answer = talk(service, head, *chunks, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 201")


def test_a_client_waits_for_100_continue_and_is_spared_a_body_that_is_refused(service: Service) -> None:
    answer = talk(service, request("aud_wrong", 10**6, extra="Expect: 100-continue\r\n"))
    assert b"100 Continue" not in answer
    assert answer.startswith(b"HTTP/1.1 401")


def test_a_body_over_the_limit_is_a_413(start: Callable[..., Service]) -> None:
    service = start(max_upload_bytes=1000)
    with service.client() as client:
        response = client.post("phone1\n" + "442079832100\n" * 200)
        assert (response.status_code, response.json()["errors"][0]["code"]) == (413, "body_too_large")
        assert client.post("phone1\n442079832100\n").status_code == 201
    assert spool(service) == []


def test_a_stalled_and_a_dripping_body_are_given_up(start: Callable[..., Service]) -> None:
    service = start(receive_idle_timeout_s=0.3, receive_timeout_s=1.0)
    with service.client() as client:
        status, body = envelope(talk(service, request(client.key, 1000) + WHOLE[:50]))
        assert (status, body["errors"][0]["code"]) == (408, "request_timeout")
        drops = [piece for byte in WHOLE[:20] for piece in (b"%c" % byte, 0.1)]
        status, body = envelope(talk(service, request(client.key, 1000), *drops))
        assert (status, body["errors"][0]["code"]) == (408, "request_timeout")
    assert spool(service) == []


def test_a_disk_without_room_is_a_507(start: Callable[..., Service]) -> None:
    service = start(min_free_bytes=10**18)
    with service.client() as client:
        response = client.post("phone1\n442079832100\n")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (507, "disk_full")
        assert response.json()["description"] == "Insufficient Storage"


def test_a_full_quota_is_a_507_and_stores_nothing(start: Callable[..., Service]) -> None:
    service = start(account_bytes=3000)
    with service.client() as client:
        statuses = [client.post("phone1\n442079832100\n").status_code for _ in range(6)]
        assert statuses[0] == 201
        assert statuses[-1] == 507
        files = service.parts.files
        assert sum(files.local(name).stat().st_size for name in files.names(older_than_s=0)) <= 3000


def test_a_fault_of_ours_is_a_500_in_the_envelope_and_the_server_goes_on(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    class Faulty(Creation):
        """A part that fails as a bug would, with a cell in its words."""

        def create(self, *_: object) -> int:
            raise RuntimeError("could not convert 442079832100")

    def break_creation(parts: Parts) -> Parts:
        return replace(parts, creation=remade(parts, Faulty))

    with started(settings_in(tmp_path), break_creation) as service, service.client() as client:
        response = client.post("phone1\n442079832100\n", headers={"X-Request-ID": "mine-1"})
        body = response.json()
        assert (response.status_code, body["status"], body["description"]) == (500, 500, "Server Error")
        assert body["errors"][0]["code"] == "server_error"
        assert "mine-1" in body["errors"][0]["message"]
        assert "442079832100" not in response.text
        assert client.http.get("/healthz").status_code == 200
    log = capfd.readouterr().err
    assert '"error":"RuntimeError"' in log
    assert "442079832100" not in log


@pytest.mark.parametrize("given", ["abc-123", "a" * 128])
def test_a_caller_s_request_id_comes_back(client: Client, given: str) -> None:
    assert client.http.get("/audiences", headers={"X-Request-ID": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 129, 'x"y', "{}"])
def test_a_request_id_that_could_do_harm_in_a_log_is_replaced(client: Client, given: str) -> None:
    found = client.http.get("/audiences", headers={"X-Request-ID": given}).headers["x-request-id"]
    assert re.fullmatch(r"[0-9a-f]{16}", found)


def test_no_cell_name_or_key_gets_into_the_log(service: Service, capfd: pytest.CaptureFixture[str]) -> None:
    with service.client() as client:
        client.create(
            "phone1,secretcolumn\n442079832111,secretcell\nsecretbad,x\n", name="secretname", file_name="secret.csv"
        )
        client.post("secretheader\nsecretcell\n", name="secretname")
        client.http.get("/audiences", params={"name": "secretname"})
        client.http.get("/secretpath")
        client.http.get("/audiences", headers={"Authorization": "Bearer secretkey"})
    log = capfd.readouterr().err
    while log.count('"event":"request"') < 5:  # a line is written behind its answer
        time.sleep(0.01)
        log += capfd.readouterr().err
    assert "secret" not in log.lower()
    assert "442079832111" not in log
    assert client.key not in log


def test_health_needs_no_key_and_readiness_names_every_store(service: Service) -> None:
    with service.client() as client:
        del client.http.headers["Authorization"]
        assert client.http.get("/healthz").json()["data"] == {"status": "ok"}
        assert client.http.get("/readyz").json()["data"]["stores"] == dict.fromkeys(
            ("catalog", "files", "engine"), "ok"
        )
        assert client.http.get("/openapi.json").status_code == 200
        page = client.http.get("/docs")
        assert page.headers["content-type"].startswith("text/html")
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert all(path.startswith("/") for path in loaded)
        assert all(client.http.get(path).status_code == 200 for path in loaded)


def test_a_store_out_of_reach_makes_readiness_fail_and_liveness_not(tmp_path: Path) -> None:
    class Gone:
        """A store that cannot be reached."""

        def reachable(self) -> bool:
            raise OSError("gone")

    def lose_files(parts: Parts) -> Parts:
        return replace(parts, files=Gone())  # type: ignore[arg-type]

    with started(settings_in(tmp_path), lose_files) as service, service.client() as client:
        response = client.http.get("/readyz")
        assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "not_ready")
        assert "files" in response.json()["errors"][0]["message"]
        assert response.headers["retry-after"]
        assert client.http.get("/healthz").status_code == 200


def test_a_truncated_body_is_told_so_when_the_client_can_still_listen(service: Service, client: Client) -> None:
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(request(client.key, 10**6) + WHOLE[:-10])
        connection.shutdown(socket.SHUT_WR)
        status, body = envelope(b"".join(iter(lambda: connection.recv(65536), b"")))
    assert (status, body["errors"][0]["code"]) == (400, "truncated_body")


def test_a_trailer_without_end_is_cut_off(service: Service) -> None:
    head = b"POST /audiences HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: "
    port = int(service.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), 20) as connection:
        connection.sendall(head)

        def send_ten_megabytes() -> None:
            for _ in range(160):
                connection.sendall(b"a" * 65536)
                time.sleep(0.005)

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            send_ten_megabytes()


def test_rubbish_behind_a_request_does_not_spoil_its_answer(service: Service, client: Client) -> None:
    answer = talk(service, request(client.key, len(WHOLE)) + WHOLE + b"\x00rubbish\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 201")
    assert answer.count(b"HTTP/1.1") == 1


def test_a_bare_line_break_does_not_hold_a_connection_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.protocol.HEADER_TIMEOUT_S", 0.3)
    answer = talk(service, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 0.2, b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"408" in answer


def test_a_client_that_was_refused_may_not_go_on_sending_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audiences.protocol.LINGER_S", 0.3)
    answer = talk(
        service, request("aud_wrong", 10**6).replace(b"Connection: close\r\n", b"") + b"a", 0.1, b"a", timeout=5
    )
    assert answer.startswith(b"HTTP/1.1 401")


def test_slow_readers_of_exports_do_not_keep_others_from_anything(service: Service, client: Client) -> None:
    rows = "phone1,note\n" + "".join(f"4479{number:08d},{'x' * 200}\n" for number in range(20_000))
    made = client.create(rows)
    port = int(service.url.rpartition(":")[2])
    ask = f"GET /audiences/{made.id}/contacts HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\n"
    ask += f"Authorization: Bearer {client.key}\r\n\r\n"
    readers = []
    try:
        for _ in range(24):
            reader = socket.socket()
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", port))
            reader.sendall(ask.encode())
            readers.append(reader)
        deadline = time.monotonic() + 20
        while service.parts.exports.running < MAX_OF_ACCOUNT and time.monotonic() < deadline:
            time.sleep(0.02)
        assert client.http.get("/readyz").status_code == 200
        assert client.get("/audiences", limit=1)["data"]
        full = client.http.get(f"/audiences/{made.id}/contacts", headers={"Accept": "text/csv"})
        assert (full.status_code, full.json()["errors"][0]["code"]) == (503, "engine_full")
        assert int(full.headers["retry-after"]) > 0
    finally:
        for reader in readers:
            reader.close()
    assert spool(service) == []
    assert len(made.csv().splitlines()) == 20_001
