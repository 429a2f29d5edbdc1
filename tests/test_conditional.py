"""Conditional requests: an answer's tag, and 304 for a client that has the answer already."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import Response

from audiences import conditional
from audiences.settings import RateLimit
from support import Client, Made, Service

FILE = "phone1,name\n442079832100,Ann\n447912345678,Bob\nbad,Cy\n"
KEPT = "private, no-cache"


@pytest.fixture(scope="module")
def reader(service: Service) -> Iterator[Client]:
    with service.client() as made:
        yield made


@pytest.fixture(scope="module")
def made(reader: Client) -> Made:
    return reader.create(FILE)


PATHS = ("/audiences", "/audiences?limit=1", "/audiences/{id}", "/audiences/{id}/contacts", "/audiences/{id}/rejects")


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_shows_the_tag_is_spared_the_answer(made: Made, path: str) -> None:
    http, url = made.client.http, path.format(id=made.id)
    first = http.get(url)
    tag = first.headers["etag"]
    assert first.headers["cache-control"] == KEPT
    for given_tags in (tag, f'"other", {tag}', f'"a,b" , W/"x",{tag.removeprefix("W/")}', "*"):
        again = http.get(url, headers={"If-None-Match": given_tags, "X-Request-ID": "again"})
        assert (again.status_code, again.content) == (304, b"")
        assert (again.headers["etag"], again.headers["cache-control"]) == (tag, KEPT)
        assert "Accept-Encoding" in again.headers["vary"]
        assert again.headers["x-request-id"] == "again"
        assert again.headers.keys() & {"content-type", "content-length", "content-encoding"} == set()


@pytest.mark.parametrize("path", PATHS)
def test_head_has_the_tag_of_get_and_is_answered_304_like_it(made: Made, path: str) -> None:
    http, url = made.client.http, path.format(id=made.id)
    tag = http.get(url).headers["etag"]
    assert http.head(url).headers["etag"] == tag
    assert http.head(url, headers={"If-None-Match": tag}).status_code == 304


@pytest.mark.parametrize("given_tags", ['"other"', 'W/"other"', "", "other", '"', "**"])
def test_another_tag_or_none_gets_the_answer(made: Made, given_tags: str) -> None:
    response = made.client.http.get(f"/audiences/{made.id}", headers={"If-None-Match": given_tags})
    assert response.json()["data"]["id"] == made.id


def test_the_tag_stays_while_the_data_does_and_goes_with_it(client: Client) -> None:
    client.create(FILE, name="first")
    before = client.http.get("/audiences")
    assert (
        client.http.get("/audiences", headers={"Accept-Encoding": "identity"}).headers["etag"]
        == (before.headers["etag"])
    )
    client.create(FILE, name="second")
    after = client.http.get("/audiences", headers={"If-None-Match": before.headers["etag"]})
    assert (after.status_code, len(after.json()["data"])) == (200, 2)
    assert after.headers["etag"] != before.headers["etag"]


def test_a_page_with_another_next_cursor_has_another_tag(client: Client) -> None:
    client.create(FILE, name="first")
    client.create(FILE, name="second")
    with_more = client.http.get("/audiences", params={"limit": 1})
    last = client.http.get("/audiences", params={"limit": 1, "name": "second"})
    assert with_more.json()["data"] == last.json()["data"]
    assert with_more.headers["etag"] != last.headers["etag"]


def test_a_304_counts_as_a_read_and_tells_what_is_left(start: Callable[..., Service]) -> None:
    with start(read_rate_limit=RateLimit(2, 86_400)).client() as client:
        tag = client.http.get("/audiences").headers["etag"]
        again = client.http.get("/audiences", headers={"If-None-Match": tag})
        assert (again.status_code, "r=0" in again.headers["ratelimit"]) == (304, True)
        assert again.headers["ratelimit-policy"]
        refused = client.http.get("/audiences", headers={"If-None-Match": tag})
        assert (refused.status_code, "etag" in refused.headers) == (429, False)


@pytest.mark.parametrize("path", ["/audiences/100000000000", "/audiences?limit=0", "/nowhere", "/healthz", "/readyz"])
def test_errors_and_health_have_no_tag_and_are_not_kept(reader: Client, path: str) -> None:
    response = reader.http.get(path, headers={"If-None-Match": "*"})
    assert response.status_code != 304
    assert "etag" not in response.headers
    assert response.headers["cache-control"] == "no-store"


def test_if_none_match_is_for_reading_alone(reader: Client) -> None:
    response = reader.post(FILE, headers={"If-None-Match": "*"})
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    checked = reader.post(FILE, dry_run="true")
    assert (checked.status_code, "etag" in checked.headers) == (200, False)


OPAQUE = st.text(st.sampled_from("abc,/W!~ü"), max_size=4)


@given(listed=st.lists(st.tuples(st.booleans(), OPAQUE), max_size=5), mine=OPAQUE, weak=st.booleans())
def test_tags_are_compared_weakly_and_a_comma_in_one_does_not_part_it(
    listed: list[tuple[bool, str]], mine: str, *, weak: bool
) -> None:
    field = ", ".join(f'{"W/" if is_weak else ""}"{opaque}"' for is_weak, opaque in listed)
    etag = f'{"W/" if weak else ""}"{mine}"'
    expected = mine in [opaque for _, opaque in listed]
    assert conditional.unchanged(Headers({"if-none-match": field}), etag) == expected


def test_a_tag_is_weak_short_and_of_its_parts_alone() -> None:
    assert conditional.tag("a", {"x": 1, "y": None}) == conditional.tag("a", {"y": None, "x": 1})
    assert len({conditional.tag(*parts) for parts in (("a", "b"), ("ab",), ("ab", ""), (["a", "b"],), ())}) == 5
    tag = conditional.tag(1)
    assert tag.startswith('W/"')
    assert len(tag) == len('W/""') + 32


def test_another_version_of_the_package_has_other_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may write the same rows differently."""
    before = conditional.tag("file-1")
    monkeypatch.setattr("audiences.conditional.__version__", "0.0.0")
    assert conditional.tag("file-1") != before


def test_a_handler_s_own_tag_is_kept_and_its_304_has_what_the_200_has() -> None:
    tag = conditional.tag("file-1", "csv")
    whole = Response(b"x", headers={"ETag": tag, "Vary": "Accept", "Cache-Control": "no-store", "X-Other": "1"})
    assert conditional.as_asked(Headers({}), whole) is whole
    assert whole.headers["cache-control"] == KEPT
    spared = conditional.as_asked(Headers({"if-none-match": tag}), whole)
    assert (spared.status_code, spared.body) == (304, b"")
    assert dict(spared.headers) == {"etag": tag, "vary": "Accept", "cache-control": KEPT}
    assert dict(conditional.not_modified({"ETag": tag}).headers) == {"etag": tag, "cache-control": KEPT}


def test_the_description_tells_of_304_and_of_the_headers(reader: Client) -> None:
    paths = json.loads(reader.http.get("/openapi.json").content)["paths"]
    read, made = paths["/audiences"]["get"], paths["/audiences"]["post"]
    assert {"If-None-Match", "Accept-Encoding"} <= {item["name"] for item in read["parameters"]}
    assert {"304", "406"} <= set(read["responses"])
    assert "ETag" in read["responses"]["200"]["headers"]
    assert "If-None-Match" not in {item["name"] for item in made["parameters"]}
    assert "304" not in made["responses"]


@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_a_client_that_has_a_list_gets_the_new_one_when_a_contact_on_it_opted_out(client: Client, kind: str) -> None:
    made = client.create(FILE)
    url = f"/audiences/{made.id}/contacts"
    tag = client.http.get(url, headers={"Accept": kind}).headers["etag"]
    assert client.http.get(url, headers={"Accept": kind, "If-None-Match": tag}).status_code == 304
    for phone in ("447912345678", "442079832100"):
        assert client.http.post("/suppressions", json={"phones": [phone]}).status_code == 200
        for method in ("HEAD", "GET"):
            again = client.http.request(method, url, headers={"Accept": kind, "If-None-Match": tag})
            assert again.status_code == 200
            assert phone not in again.text
        tag = again.headers["etag"]
