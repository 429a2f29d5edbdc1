"""What an installation is made of: licences that we may use, and a list of it that is always the same."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest
from cyclonedx.model.bom import Bom
from inventory import licences, sbom, weaknesses
from inventory.locked import libraries


def test_every_library_that_runs_has_a_licence_that_we_may_use() -> None:
    assert licences.complaints() == []


def test_what_is_locked_is_what_runs_here() -> None:
    for library in libraries():
        assert library.hashes
        if library.here:
            assert version(library.name) == library.version


@pytest.mark.parametrize(
    ("expression", "allowed"),
    [
        ("MIT", True),
        ("MIT License", True),
        ("Apache-2.0 OR GPL-3.0-only", True),
        ("Apache-2.0 AND BSD-2-Clause", True),
        ("Apache-2.0 AND GPL-3.0-only", False),
        ("GPL-3.0-or-later", False),
        ("AGPL-3.0-only", False),
        ("LGPL-3.0-only", False),
        ("Proprietary", False),
        ("", False),
        ("MIT OR (GPL-3.0-only)", False),
    ],
)
def test_only_licences_of_the_list_are_allowed(expression: str, allowed: bool) -> None:  # noqa: FBT001
    assert licences.is_allowed(expression) is allowed


def test_the_sbom_lists_what_is_locked_and_is_the_same_each_time() -> None:
    text = sbom.document()
    assert text == sbom.document()
    found = json.loads(text)
    named = {(part["name"], part.get("version")) for part in found["components"]}
    assert {(library.name, library.version) for library in libraries()} <= named
    assert (found["bomFormat"], found["specVersion"]) == ("CycloneDX", "1.6")
    assert len(Bom.from_json(found).components) == len(found["components"])  # type: ignore[attr-defined]


SOUND: dict[str, object] = {"name": "a", "version": "1", "vulns": []}
WEAK: dict[str, object] = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
UNASKED: dict[str, object] = {"name": "c", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("libraries", "code"),
    [
        ([SOUND], weaknesses.NONE),
        ([SOUND, WEAK], weaknesses.FOUND),
        ([SOUND, UNASKED], weaknesses.UNKNOWN),
        ([WEAK, UNASKED], weaknesses.FOUND),
        ([], weaknesses.UNKNOWN),
    ],
)
def test_a_library_that_nobody_told_of_is_not_taken_for_sound(libraries: list[dict[str, object]], code: int) -> None:
    found, lines = weaknesses.verdict(json.dumps({"dependencies": libraries}), "")
    assert found == code
    assert ("NOT KNOWN" in lines[-1]) is (UNASKED in libraries or not libraries)


def test_a_service_that_cannot_be_reached_is_said_to_be() -> None:
    code, lines = weaknesses.verdict("", "Traceback\nConnectionError: no route")
    assert code == weaknesses.UNKNOWN
    assert "no route" in lines[0]
