"""The fuzzing, in short: every target is tried, and nothing is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from campaigns import fuzz
from campaigns.fuzzing.child import TARGETS

from audiences.errors import MalformedRequest
from audiences.form import Form


@pytest.mark.skipif(fuzz.missing() is not None, reason=str(fuzz.missing()))
def test_nothing_is_found_in_a_second_of_fuzzing(tmp_path: Path) -> None:
    outcome = fuzz.fuzz(TARGETS, seed=1, seconds=1, folder=tmp_path)
    assert outcome.losses == []
    assert all(int(outcome.figures[f"{name}: inputs"]) > 0 for name in TARGETS), outcome.figures


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_a_text_before_the_first_boundary_is_refused_in_whatever_pieces_it_comes(tmp_path: Path, step: int) -> None:
    """The parser read over it where it came in one piece behind a line end, and refused it where it came in two."""
    form = Form("multipart/form-data; boundary=B", tmp_path / "upload", 1000)
    body = b'\r\nhello\r\n--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nlist\r\n--B--\r\n'
    with pytest.raises(MalformedRequest):
        feed(form, body, step)


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_line_ends_before_the_first_boundary_are_read_over(tmp_path: Path, step: int) -> None:
    form = Form("multipart/form-data; boundary=B", tmp_path / "upload", 1000)
    body = b'\r\n\r\n--B\r\nContent-Disposition: form-data; name="name"\r\n\r\nlist\r\n--B--\r\n'
    feed(form, body, step)
    form.finish(())
    assert form.fields == {"name": "list"}


def feed(form: Form, body: bytes, step: int) -> None:
    """The body in pieces of `step` bytes."""
    for at in range(0, len(body), step):
        form.feed(body[at : at + step])
