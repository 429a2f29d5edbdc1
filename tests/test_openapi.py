"""The API's description: complete, true, and held against the running server."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from audiences.errors import catalogue
from audiences.route_table import ROUTES
from support import Service


@pytest.fixture(scope="module")
def document(service: Service) -> dict[str, Any]:
    with service.client() as client:
        found: dict[str, Any] = client.http.get("/openapi.json").json()
        return found


def test_every_route_is_described_with_every_answer(document: dict[str, Any]) -> None:
    for route in ROUTES:
        if not route.listed:
            continue
        operation = document["paths"][route.path][route.method.lower()]
        statuses = {str(status) for status in route.successes} | {str(kind.status) for kind in route.refusals}
        assert statuses <= set(operation["responses"])
        assert operation["summary"]
        assert all("description" in parameter or parameter["in"] == "path" for parameter in operation["parameters"])


def test_every_error_code_stands_in_an_example(document: dict[str, Any]) -> None:
    text = str(document)
    known = {kind.code for kind in catalogue()} - {"unknown_path", "method_not_allowed"}
    assert [code for code in known if f"'{code}'" not in text] == []


def test_routes_with_a_key_have_a_scope_and_a_limit() -> None:
    open_to_all = {"/healthz", "/readyz", "/openapi.json", "/docs", "/docs/{name}"}
    for route in ROUTES:
        assert (route.scope is None) == (route.policy is None) == (route.path in open_to_all)


def test_schemathesis_finds_nothing(service: Service, tmp_path: Path) -> None:
    """Every operation and the ways between them, with data that fits the description and data that does not.

    Data at random is for the campaign, `./dev campaign schema`. Left out is the one check that a request which fits is
    never a 400: bytes that are no table fit, too.
    """
    with service.client() as client:
        made = client.create("phone1,name\n442079832100,Ann\n447912345678,Bob\nbad,Cy\n")
        (tmp_path / "schemathesis.toml").write_text(f'[parameters]\nid = "{made.id}"\n')
        command = [str(Path(sys.executable).parent / "schemathesis"), "run", f"{service.url}/openapi.json"]
        command += ["--header", f"Authorization: Bearer {client.key}", "--exclude-checks", "positive_data_acceptance"]
        # A deleted audience would be a 404 to everything that comes after.
        command += ["--exclude-operation-id", "delete_audience"]
        command += ["--phases", "examples,coverage,stateful", "--max-examples", "6", "--seed", "1", "--no-color"]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
        assert done.returncode == 0, done.stdout[-4000:]
        assert "Missing test data" not in done.stdout
