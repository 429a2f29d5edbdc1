"""The command line: what goes to which stream, exit codes, and what a person reads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from audiences import cli
from test_crash import serving

ROOT = Path(__file__).parent.parent
SAMPLE = ROOT / "samples" / "customers.csv"


Run = Callable[..., Any]


@dataclass
class Done:
    """What a command printed."""

    stdout: str
    stderr: str


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `audiences …` in this process, where a new one would take a second; it must end with `code`."""

    def running(*arguments: str | Path, code: int = 0, **environment: str) -> Done:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["audiences", *map(str, arguments)])
            for name, value in environment.items():
                patch.setenv(name, value)
            capfd.readouterr()
            with pytest.raises(SystemExit) as ended:
                cli.main()
        printed = Done(*capfd.readouterr())
        assert (ended.value.code or 0) == code, printed
        return printed

    return running


def test_the_installed_command_is_there() -> None:
    command = Path(sys.executable).parent / "audiences"
    done = subprocess.run([command, "--version"], capture_output=True, text=True, check=True)
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", done.stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder for tests that leave it as it is."""
    return tmp_path_factory.mktemp("cli")


def test_help_tells_every_command(run: Run) -> None:
    text = run("--help").stdout
    assert all(command in text for command in ("serve", "check", "keys", "accounts"))
    for command in (("serve",), ("check",), ("keys", "create"), ("keys", "rotate"), ("accounts", "create")):
        assert "Usage" in run(*command, "--help").stdout


def test_a_new_key_is_printed_alone_and_works_on_a_running_server(run: Run, tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        made = run("keys", "create", "mine", "--data", tmp_path)
        key = made.stdout.removesuffix("\n")
        assert re.fullmatch(r"aud_[0-9A-Za-z]{49}", key)
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx.get(f"{url}/audiences", headers=headers).status_code == 200

        listed = run("keys", "list", "--data", tmp_path, COLUMNS="200").stdout
        key_id = re.findall(r"^([0-9a-f]{12}) ", listed, re.MULTILINE)[0]
        assert "mine" in listed
        assert key not in listed
        successor = run("keys", "rotate", key_id, "--grace", "0", "--data", tmp_path).stdout.strip()
        assert httpx.get(f"{url}/audiences", headers=headers).status_code == 401
        headers = {"Authorization": f"Bearer {successor}"}
        assert httpx.get(f"{url}/audiences", headers=headers).status_code == 200
        for line in run("keys", "list", "--data", tmp_path, COLUMNS="200").stdout.splitlines()[1:]:
            run("keys", "revoke", line.split()[0], "--data", tmp_path)
        assert httpx.get(f"{url}/audiences", headers=headers).status_code == 401


def test_accounts_are_made_and_listed_and_keys_belong_to_them(run: Run, tmp_path: Path) -> None:
    run("accounts", "create", "acme", "--data", tmp_path)
    assert "acme" in run("accounts", "list", "--data", tmp_path).stdout
    assert "default" in run("accounts", "list", "--data", tmp_path).stdout
    assert run("keys", "create", "k", "--account", "acme", "--data", tmp_path).stdout.startswith("aud_")
    assert "already" in run("accounts", "create", "acme", "--data", tmp_path, code=1).stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("keys", "create", "k", "--account", "nobody"), 1, "no account nobody"),
        (("keys", "create", "k", "--scope", "all"), 2, "audiences:read"),
        (("keys", "create", "k", "--expires", "soon"), 2, "whole number of days"),
        (("keys", "rotate", "nothing"), 1, "no live key"),
        (("keys", "rotate", "x", "--grace", "31"), 2, "0 to 30"),
        (("keys", "revoke", "nothing"), 1, "no key"),
        (("keys", "create", "a\x1bb"), 1, "control characters"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    run: Run, folder: Path, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = run(*arguments, "--data", folder, code=code)
    assert words in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_data_folder_that_cannot_be_is_told_in_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    assert "cannot be made" in run("keys", "list", "--data", tmp_path / "file" / "data", code=1).stderr
    (tmp_path / "catalog.sqlite").write_text("no catalog" * 1000)
    assert "cannot be opened" in run("serve", "--data", tmp_path, "--port", "0", code=1).stderr
    assert "No such file" in run("check", SAMPLE, "--rejects", tmp_path / "no" / "x.csv", code=1).stderr


def test_an_unknown_setting_refuses_to_start(run: Run, tmp_path: Path) -> None:
    done = run("serve", "--data", tmp_path, code=1, AUDIENCES_RATE_LIMITT="5/minute")
    assert "Did you mean AUDIENCES_RATE_LIMIT?" in done.stderr


def test_a_port_in_use_and_a_folder_in_use_are_told(run: Run, tmp_path: Path) -> None:
    with serving(tmp_path) as (url, _):
        port = url.rpartition(":")[2]
        assert "Cannot listen" in run("serve", "--port", port, "--data", tmp_path / "other", code=1).stderr
        assert "Another server" in run("serve", "--port", "0", "--data", tmp_path, code=1).stderr


def test_check_shows_the_report_and_writes_every_reject(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "rejects.csv"
    text = run("check", SAMPLE, "--rejects", out).stdout
    report = json.loads(run("check", SAMPLE, "--json").stdout)
    assert f"{report['accepted']:,}" in text
    assert "scientific_notation" in text
    assert "customers.csv: csv, utf-8" in text
    assert report["rows"] == report["accepted"] + report["duplicates"] + report["rejected"]
    rejects = out.read_text(encoding="utf-8")
    assert rejects.startswith("id,name,Phone1,city,country,spent,note,row,reason,first_row,raw\n")
    assert rejects.count(",malformed_row,") == report["rejected_by_reason"]["malformed_row"] == 2


def test_check_refuses_with_the_same_words_as_the_server(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("phone,name\n442079832100,Ann\n")
    assert "Did you mean phone? Send phone_column=phone." in run("check", file, code=1).stderr
    run("check", file, "--phone-column", "phone")
    file.write_text("phone1\n020 7983 2100\n")
    run("check", file, code=1)
    run("check", file, "--default-region", "GB")


def test_check_leaves_nothing_but_what_it_was_asked_for(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run("check", SAMPLE, AUDIENCES_DATA=str(tmp_path / "data"))
    assert list(tmp_path.iterdir()) == []


def test_sigterm_lets_a_running_upload_finish(run: Run, tmp_path: Path) -> None:
    key = run("keys", "create", "k", "--data", tmp_path).stdout.strip()
    rows = "phone1,n\n" + "".join(f"4479{row:08d},{row}\n" for row in range(100_000))
    with serving(tmp_path) as (url, process), httpx.Client(base_url=url, timeout=60) as http:

        def body() -> object:
            yield f'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nx\r\n--b\r\n{FILE}\r\n\r\n{rows}'.encode()
            process.terminate()
            time.sleep(0.3)
            yield b"\r\n--b--\r\n"

        headers = {"Authorization": f"Bearer {key}", "Content-Type": "multipart/form-data; boundary=b"}
        made = http.post("/audiences", content=body(), headers=headers)  # type: ignore[arg-type]
        assert made.status_code == 201
        assert process.wait(20) in {0, -15}


FILE = 'Content-Disposition: form-data; name="audience_file"; filename="x.csv"'


def test_metrics_have_an_address_of_their_own(tmp_path: Path) -> None:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(tmp_path, AUDIENCES_METRICS_ADDRESS=f"127.0.0.1:{port}") as (url, _):
        httpx.get(f"{url}/healthz")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'audiences_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
        assert httpx.get(f"{url}/metrics").status_code == 404
