"""Compressed answers: which coding a client gets, that it holds the same bytes, and that a stream stays one."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse
from starlette.types import Message

from audiences import coding
from support import Client, Made, Service

ROWS = "phone1,name\n" + "".join(f"4479{number:08d},name {number % 50}\n" for number in range(3000))
QUALITIES = ("", ";q=0", ";q=0.0", ";q=0.001", ";q=0.5", "; Q=0.8", ";q=1", ";q=1.000", ";q=x", ";q=")


@pytest.fixture(scope="module")
def reader(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made


@pytest.fixture(scope="module")
def big(reader: Client) -> Made:
    """3,000 contacts and two rejects."""
    return reader.create(ROWS + "bad,x\n,y\n")


def raw(client: Client, path: str, accept_encoding: str | None, **named: str) -> tuple[httpx.Response, bytes]:
    """An answer, and its body as it came over the wire."""
    headers = {name.replace("_", "-"): value for name, value in named.items()}
    request = client.http.build_request("GET", path, headers=headers)
    del request.headers["accept-encoding"]
    if accept_encoding is not None:
        request.headers["accept-encoding"] = accept_encoding
    response = client.http.send(request, stream=True)
    try:
        return response, b"".join(response.iter_raw())
    finally:
        response.close()


def decoded(response: httpx.Response, body: bytes) -> bytes:
    """The body without its coding; one that is more than one member or frame, or is cut off, fails."""
    match response.headers.get("content-encoding"):
        case "gzip":
            return gzip.decompress(body)
        case "zstd":
            frame = zstandard.ZstdDecompressor().decompressobj()
            plain = frame.decompress(body)
            assert frame.eof
            assert not frame.unused_data
            return plain
        case other:
            assert other is None
            return body


def data_of(body: bytes) -> object:
    return json.loads(body)["data"]


def expected(field: str | None) -> list[str]:
    """The codings of which any is right to use, by RFC 9110, section 12.5.3, rule by rule."""
    if field is None:
        return ["identity"]
    listed: dict[str, float] = {}
    for item in field.split(","):
        name, _, weight = item.partition(";")
        number = re.fullmatch(r"\s*[qQ]=([01](?:\.\d*)?)\s*", weight)
        quality = 1.0 if not weight else float(number[1]) if number else 0.0
        listed[name.strip().lower()] = max(quality, listed.get(name.strip().lower(), 0.0))
    found = {}
    for name in ("zstd", "gzip", "identity"):
        if name in listed:
            found[name] = listed[name]
        elif "*" in listed:
            found[name] = listed["*"]
        elif name == "identity":
            found[name] = 1e-9
    return sorted((name for name in found if found[name]), key=lambda name: -found[name])


items = st.builds(
    lambda name, quality, blank: f"{blank}{name}{quality}",
    st.sampled_from(["zstd", "gzip", "GZIP", "identity", "*", "br", "deflate", ""]),
    st.sampled_from(QUALITIES),
    st.sampled_from(["", " ", "\t"]),
)


@given(st.none() | st.lists(items, max_size=6).map(",".join))
@example("")
@example("*;q=0")
@example("identity;q=0")
def test_the_coding_is_the_one_that_the_rfc_s_rules_leave_and_zstd_before_gzip(field: str | None) -> None:
    headers = Headers({} if field is None else {"accept-encoding": field})
    assert coding.acceptable(headers) == expected(field)


def test_the_old_name_of_gzip_and_several_lines_are_understood() -> None:
    assert coding.acceptable(Headers({"accept-encoding": "x-gzip"})) == ["gzip", "identity"]
    lines = [(b"accept-encoding", b"gzip;q=0.5"), (b"accept-encoding", b"zstd;q=0.4")]
    assert coding.acceptable(Headers(raw=lines)) == ["gzip", "zstd", "identity"]


@pytest.mark.parametrize(
    ("accept_encoding", "wanted"),
    [
        (None, None),
        ("", None),
        ("br", None),
        ("gzip", "gzip"),
        ("gzip, zstd", "zstd"),
        ("gzip, zstd;q=0.5", "gzip"),
        ("*", "zstd"),
        ("identity, gzip;q=0.5", None),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_a_page_and_an_export_hold_the_same_bytes_in_each_coding(
    big: Made, accept: str, accept_encoding: str | None, wanted: str | None
) -> None:
    path = f"/audiences/{big.id}/contacts?limit=1000"
    _, plain = raw(big.client, path, "identity", accept=accept)
    response, body = raw(big.client, path, accept_encoding, accept=accept)
    assert response.headers.get("content-encoding") == wanted
    assert "Accept-Encoding" in response.headers["vary"]
    if accept == "text/csv":
        assert decoded(response, body) == plain
        assert "content-length" not in response.headers
    else:
        assert data_of(decoded(response, body)) == data_of(plain)
        assert int(response.headers["content-length"]) == len(body)
        assert wanted != "zstd" or zstandard.frame_content_size(body) == len(decoded(response, body))
    assert wanted is None or len(body) < len(plain) / 3


def test_a_small_answer_goes_as_it_is_unless_identity_is_refused(big: Made) -> None:
    path = f"/audiences/{big.id}/contacts?limit=1"
    response, body = raw(big.client, path, "gzip, zstd")
    assert (response.headers.get("content-encoding"), response.headers["vary"]) == (None, "Accept, Accept-Encoding")
    response, body = raw(big.client, path, "gzip, identity;q=0")
    assert response.headers["content-encoding"] == "gzip"
    assert data_of(gzip.decompress(body))


@pytest.mark.parametrize("field", ["identity;q=0", "*;q=0", "br, *;q=0", "zstd;q=0, gzip;q=0, identity;q=0"])
def test_a_client_that_reads_no_coding_there_is_gets_a_406(reader: Client, field: str) -> None:
    response, body = raw(reader, "/audiences", field)
    error = json.loads(body)["errors"][0]
    assert (response.status_code, error["code"], error["field"]) == (406, "not_acceptable", "Accept-Encoding")


def test_an_upload_is_not_refused_for_the_coding_of_its_small_answer(reader: Client) -> None:
    assert reader.post("phone1\n442079832100\n", headers={"Accept-Encoding": "identity;q=0"}).status_code == 201


def test_a_large_refusal_is_compressed_like_any_answer(reader: Client) -> None:
    header = ",".join(f"column {number} {'ä' * 40}" for number in range(30))
    response = reader.post(f"{header}\nx\n")
    assert (response.status_code, response.headers["content-encoding"]) == (400, "zstd")
    assert response.json()["errors"][0]["code"] == "missing_phone_column"


@pytest.mark.parametrize("accept", ["application/json", "text/csv"])
def test_head_tells_no_length_that_get_would_not_have(big: Made, accept: str) -> None:
    headers = {"Accept": accept, "Accept-Encoding": "gzip"}
    response = big.client.http.head(f"/audiences/{big.id}/contacts", headers=headers)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers.keys() & {"content-encoding", "content-length"} == set()
    assert "Accept-Encoding" in response.headers["vary"]


def test_the_description_and_its_page_are_compressed_where_it_pays(reader: Client) -> None:
    found = {
        path: raw(reader, path, "zstd")[0].headers.get("content-encoding")
        for path in ("/openapi.json", "/docs/swagger-ui.css", "/docs/favicon-32x32.png", "/docs", "/healthz")
    }
    assert found == {
        "/openapi.json": "zstd",
        "/docs/swagger-ui.css": "zstd",
        "/docs/favicon-32x32.png": None,
        "/docs": None,
        "/healthz": None,
    }


def test_the_log_counts_the_bytes_that_went_out(big: Made, capfd: pytest.CaptureFixture[str]) -> None:
    path = f"/audiences/{big.id}/contacts?limit=1000"
    _, body = raw(big.client, path, "gzip", x_request_id="counted")
    big.client.http.head(path, headers={"X-Request-ID": "counted-head"})
    log = ""
    while log.count('"event":"request"') < 2:  # a line is written behind its answer
        time.sleep(0.01)
        log += capfd.readouterr().err
    lines = {line["request"]: line for line in map(json.loads, log.splitlines())}
    assert lines["counted"]["sent_bytes"] == len(body)
    assert lines["counted-head"]["sent_bytes"] == 0


async def sent_by(response: Response, accept_encoding: str, method: str = "GET") -> list[Message]:
    """The messages of an answer behind the coding, with no server around."""
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        await asyncio.Event().wait()
        return {}

    headers = [(b"accept-encoding", accept_encoding.encode())]
    scope = {"type": "http", "method": method, "headers": headers, "asgi": {"spec_version": "2.4"}}
    await response(scope, receive, coding.Coded(scope, send).send)
    return messages


DECODERS: dict[str, Callable[[], Callable[[bytes], bytes]]] = {
    "zstd": lambda: zstandard.ZstdDecompressor().decompressobj().decompress,
    "gzip": lambda: zlib.decompressobj(zlib.MAX_WBITS | 16).decompress,
}


@pytest.mark.parametrize("name", DECODERS)
def test_each_piece_of_a_stream_can_be_read_before_the_next_is_made(name: str) -> None:
    """Small pieces are compressed in the event loop, large ones in a thread; both flow."""
    pieces = [b"phone1,name\n", b"442079832100,Ann\n" * 20_000, b"", b"447912345678,Bob\n"]
    decode, seen = DECODERS[name](), bytearray()

    async def run() -> None:
        async def send(message: Message) -> None:
            seen.extend(decode(message.get("body", b"")))

        async def producer() -> AsyncIterator[bytes]:
            for number, piece in enumerate(pieces):
                yield piece
                assert bytes(seen) == b"".join(pieces[: number + 1])

        scope = {"type": "http", "method": "GET", "headers": [(b"accept-encoding", name.encode())]}
        response = StreamingResponse(producer(), media_type="text/csv")
        await response.stream_response(coding.Coded(scope, send).send)

    asyncio.run(run())
    assert bytes(seen) == b"".join(pieces)


@pytest.mark.parametrize(
    ("kind", "headers", "status"),
    [
        ("application/vnd.apache.parquet", {}, 200),
        ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", {}, 200),
        ("text/csv", {"Content-Encoding": "gzip"}, 200),
        ("text/csv", {"Content-Range": "bytes 0-9/10"}, 206),
    ],
)
def test_what_is_compressed_already_or_a_part_goes_as_it_is(kind: str, headers: dict[str, str], status: int) -> None:
    body = b"x" * 5000
    start, sent = asyncio.run(sent_by(Response(body, status, headers, media_type=kind), "zstd, identity;q=0.1"))
    assert sent["body"] == body
    assert (b"content-length", b"5000") in start["headers"]


@pytest.mark.parametrize(
    ("given_vary", "wanted"),
    [
        (None, "Accept-Encoding"),
        ("Accept", "Accept, Accept-Encoding"),
        ("accept-encoding", "accept-encoding"),
        ("*", "*"),
    ],
)
def test_vary_is_added_to_what_an_answer_varies_by(given_vary: str | None, wanted: str) -> None:
    headers = {} if given_vary is None else {"Vary": given_vary}
    start, _ = asyncio.run(sent_by(Response(b"{}", 200, headers, media_type="application/json"), "gzip"))
    assert Headers(raw=start["headers"])["vary"] == wanted


def test_a_stream_without_a_piece_is_empty_in_each_coding() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for piece in list[bytes]():
            yield piece

    for name in ("gzip", "zstd"):
        messages = asyncio.run(sent_by(StreamingResponse(nothing(), media_type="text/csv"), name))
        assert b"".join(message.get("body", b"") for message in messages) == b""


def test_a_client_that_leaves_a_compressed_export_frees_its_place(service: Service, client: Client) -> None:
    made = client.create("phone1,n\n" + "".join(f"4479{number:08d},{number * 7919}\n" for number in range(60_000)))
    path = f"/audiences/{made.id}/contacts"
    with client.http.stream("GET", path, headers={"Accept": "text/csv", "Accept-Encoding": "gzip"}) as response:
        next(response.iter_raw())
    deadline = time.monotonic() + 5
    while service.parts.exports.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert service.parts.exports.running == 0


def test_nothing_is_sent_of_a_stream_that_fails_before_its_first_piece() -> None:
    """So that the fault can still be answered as one."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def failing() -> AsyncIterator[bytes]:
        raise RuntimeError("broken")
        yield b""  # type: ignore[unreachable]

    scope = {"type": "http", "method": "GET", "headers": []}
    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(StreamingResponse(failing()).stream_response(coding.Coded(scope, send).send))
    assert sent == []
