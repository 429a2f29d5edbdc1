"""The command line: what goes to which stream, exit codes, and what a person reads."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from audiences import cli
from audiences.store.database import Database
from process import serving
from support import Client, Service, until

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
    assert all(command in text for command in ("serve", "check", "push", "export", "keys", "accounts"))
    commands = (("serve",), ("check",), ("push",), ("export",), ("keys", "create"), ("keys", "rotate"))
    for command in (*commands, ("accounts", "create")):
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
    assert rejects.startswith("id,name,Phone1,city,country,spent,note,file,row,reason,first_file,first_row,raw\n")
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
        assert process.wait(20) == 128 + 15


def test_what_has_gathered_in_memory_is_written_at_the_end(run: Run, tmp_path: Path) -> None:
    key = run("keys", "create", "k", "--data", tmp_path).stdout.strip()
    headers = {"Authorization": f"Bearer {key}"}
    with serving(tmp_path, AUDIENCES_READ_RATE_LIMIT="1/minute") as (url, process):
        statuses = [httpx.get(f"{url}/audiences", headers=headers).status_code for _ in range(3)]
        process.terminate()
        process.wait(20)
    assert statuses == [200, 429, 429]
    with closing(Database(f"sqlite:///{tmp_path / 'catalog.sqlite'}")) as catalog, catalog.read() as connection:
        assert connection.execute(text("SELECT sum(throttled) FROM usage")).scalar() == 2


FILE = 'Content-Disposition: form-data; name="audience_file"; filename="x.csv"'


def test_metrics_have_an_address_of_their_own(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with serving(tmp_path, AUDIENCES_METRICS_ADDRESS=f"127.0.0.1:{port}") as (url, _):
        httpx.get(f"{url}/healthz")
        text = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        assert 'audiences_requests_total{method="GET",route="/healthz",status="200"} 1.0' in text
        assert httpx.get(f"{url}/metrics").status_code == 404


@pytest.fixture
def at(service: Service, client: Client, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of someone with a key of the service, which logs in this process and is silent meanwhile."""
    monkeypatch.setattr(logging.getLogger("audiences"), "disabled", True)
    return {"AUDIENCES_URL": service.url, "AUDIENCES_API_KEY": client.key}


def test_a_pushed_file_is_an_audience_and_its_report_is_shown(run: Run, at: dict[str, str], client: Client) -> None:
    done = run("push", SAMPLE, **at)
    audience_id = re.findall(r"^Audience (\d+)  customers$", done.stdout, re.MULTILINE)[0]
    report = client.get(f"/audiences/{audience_id}")["data"]
    assert f"{report['accepted']:,}  accepted" in done.stdout
    assert "scientific_notation" in done.stdout
    assert done.stderr == ""


def test_a_push_for_a_program_prints_json_alone(run: Run, at: dict[str, str], client: Client) -> None:
    printed = json.loads(run("push", SAMPLE, "--name", "NE", "--json", **at).stdout)
    assert printed["report"] == client.get(f"/audiences/{printed['id']}")["data"]
    assert printed["report"]["name"] == "NE"
    checked = json.loads(run("push", SAMPLE, "--dry-run", "--json", **at).stdout)
    assert checked["id"] is None
    assert checked["report"]["accepted"] == printed["report"]["accepted"]
    assert len(client.get("/audiences")["data"]) == 1


def test_a_push_reads_the_file_as_it_is_told_to(run: Run, at: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    file.write_text("mobile\n07912 345678\n")
    assert "Did you mean mobile?" in run("push", file, code=1, **at).stderr
    refused = run("push", file, "--phone-column", "mobile", code=1, **at)
    assert "default_region" in refused.stderr
    assert "0  accepted" in refused.stdout
    run("push", file, "--phone-column", "mobile", "--dry-run", code=1, **at)
    run("push", file, "--phone-column", "mobile", "--default-region", "GB", **at)


def test_a_push_replaces_or_adds_to_an_audience(run: Run, at: dict[str, str], client: Client, tmp_path: Path) -> None:
    made = client.create("phone1\n442079832100\n")
    file = tmp_path / "more.csv"
    file.write_text("phone1\n447912345678\n4915112345678\n")
    assert "3  accepted" in run("push", file, "--append", made.id, **at).stdout
    report = json.loads(run("push", file, "--replace", made.id, "--json", **at).stdout)
    assert report["id"] == report["report"]["id"] == made.id
    assert report["report"]["accepted"] == 2


def test_an_export_has_the_format_that_its_name_ends_with(
    run: Run, at: dict[str, str], client: Client, tmp_path: Path
) -> None:
    made = client.create("phone1\n442079832100\n")
    for name, begins in (("a.parquet", b"PAR1"), ("a.XLSX", b"PK"), ("a.jsonl", b'{"phone1"'), ("a.txt", b"phone1\n")):
        run("export", made.id, "-o", tmp_path / name, **at)
        assert (tmp_path / name).read_bytes().startswith(begins)
    assert run("export", made.id, "--format", "ndjson", **at).stdout.startswith('{"phone1"')


def test_a_push_with_a_key_that_may_not_read_still_tells_the_id(run: Run, service: Service) -> None:
    with service.client(scopes=["audiences:write"]) as writer:
        done = run("push", SAMPLE, AUDIENCES_URL=service.url, AUDIENCES_API_KEY=writer.key)
    assert re.fullmatch(r"\d+\n", done.stdout)
    assert "is stored in audience" in done.stderr


def test_an_export_is_a_file_or_standard_output(run: Run, at: dict[str, str], client: Client, tmp_path: Path) -> None:
    made = client.create("phone1,n\n442079832100,=1\nbad,2\n442079832100,3\n")
    out = tmp_path / "out.csv"
    assert str(out) in run("export", made.id, "-o", out, **at).stdout
    assert out.read_text() == run("export", made.id, **at).stdout == "phone1,n\n442079832100,=1\n"
    enriched = run("export", made.id, "--enrich", "--spreadsheet-safe", **at).stdout
    assert enriched.splitlines() == [
        "phone1,n,country,line_type,time_zones",
        "442079832100,'=1,GB,fixed_line,Europe/London",
    ]
    assert run("export", made.id, "--country", "FR", **at).stdout == "phone1,n\n"
    rejects = run("export", made.id, "--rejects", "--reason", "duplicate", **at).stdout
    assert rejects.splitlines()[1:] == ["442079832100,3,1,4,duplicate,1,2,"]
    told = json.loads(run("export", made.id, "-o", out, "--rejects", "--json", **at).stdout)
    assert told == {"id": made.id, "format": "csv", "file": str(out), "bytes": out.stat().st_size}


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "words"),
    [
        (("push", SAMPLE), {"AUDIENCES_API_KEY": ""}, 2, "Set AUDIENCES_API_KEY"),
        (("push", SAMPLE, "--url", "here"), {}, 2, "has to look like http://"),
        (("push", SAMPLE, "--replace", "1", "--append", "2"), {}, 2, "exclude one another"),
        (("push", SAMPLE, "--replace", "1", "--name", "x"), {}, 2, "--name is for a new audience"),
        (("push", SAMPLE), {"AUDIENCES_API_KEY": "aud_wrong"}, 1, "It was taken from AUDIENCES_API_KEY"),
        (("export", "999999999"), {}, 1, "no audience of this id"),
        (("export", "999999999", "--json"), {}, 2, "name one with -o"),
        (("export", "1", "-o", "/no/such/folder/x.csv"), {}, 1, "no audience of this id"),
    ],
)
def test_what_goes_wrong_with_a_server_is_told_in_one_line(
    run: Run, at: dict[str, str], arguments: tuple[str, ...], environment: dict[str, str], code: int, words: str
) -> None:
    done = run(*arguments, code=code, **{**at, **environment})
    assert words in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_a_file_that_cannot_be_written_is_told(run: Run, at: dict[str, str], client: Client) -> None:
    made = client.create("phone1\n442079832100\n")
    assert "No such file" in run("export", made.id, "-o", "/no/such/folder/x.csv", code=1, **at).stderr


def test_progress_goes_to_a_terminal_on_standard_error_and_nowhere_else(at: dict[str, str]) -> None:
    import pty

    terminal, end = pty.openpty()
    command: list[str | Path] = [Path(sys.executable).parent / "audiences", "push", SAMPLE, "--json"]
    environment = {**os.environ, **at, "TERM": "xterm-256color", "COLUMNS": "100"}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, env=environment, check=True)
    shown = os.read(terminal, 1 << 16).decode()
    os.close(end)
    os.close(terminal)
    assert json.loads(done.stdout)["id"]
    assert "customers.csv" in shown
    assert "reading, judging, storing…" in shown


def test_an_interrupted_export_leaves_no_file_and_no_traceback(tmp_path: Path, at: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stalling:
        url = f"http://127.0.0.1:{stalling.getsockname()[1]}"
        command: list[str | Path] = [Path(sys.executable).parent / "audiences", "export", "312345"]
        command += ["-o", tmp_path / "out.csv"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, **at, "AUDIENCES_URL": url})
        connection, _ = stalling.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\nphone1\n")
            assert until(lambda: list(tmp_path.iterdir()) != [])
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert b"Traceback" not in told
    assert list(tmp_path.iterdir()) == []


def test_a_check_of_an_untidy_file_says_nothing_on_standard_error() -> None:
    """What the libraries hold when the process ends is nobody's business."""
    file = Path(__file__).parent.parent / "samples" / "customers.csv"
    command = [sys.executable, "-m", "audiences.cli", "check", str(file)]
    assert subprocess.run(command, capture_output=True, check=True).stderr == b""
