"""Addresses: the operator's word for where the service is goes before what anybody else knows."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from audiences import addresses
from audiences.settings import Settings
from test_cli import Run, run

__all__ = ["run"]

PUBLIC = {"AUDIENCES_PUBLIC_URL": "https://public.example/"}


def test_the_public_address_is_taken_where_it_is_set() -> None:
    assert addresses.of_service(Settings(), "http://host/") == "http://host"
    assert (
        addresses.of_service(Settings(public_url="https://public.example/"), "http://host") == "https://public.example"
    )


def test_links_of_the_command_line_name_the_public_address_unless_told_otherwise(run: Run, tmp_path: Path) -> None:
    at = ("ann@example.com", "--data", tmp_path)
    client = {"AUDIENCES_URL": "http://client.example"}

    assert run("users", "create", *at, **PUBLIC, **client).stdout.startswith("https://public.example/console/welcome?")
    assert run("users", "link", *at, **client).stdout.startswith("http://client.example/console/welcome?")
    told = run("users", "link", "--url", "https://told.example", *at, **PUBLIC, **client)
    assert told.stdout.startswith("https://told.example/console/welcome?")


def test_the_link_of_the_first_start_names_the_public_address(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "audiences.cli", "serve", "--port", "0", "--data", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | PUBLIC)
    assert process.stderr is not None
    with process.stderr as printed:
        serving, sentence = printed.readline(), printed.readline()
        process.terminate()
        printed.read()
    process.wait()

    assert '"address":"http://127.0.0.1:' in serving, "where it listens is another matter"
    assert " https://public.example/console/welcome?link=" in sentence
