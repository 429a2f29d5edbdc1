"""The main job, once, for real: starts the server, makes a key, uploads samples/customers.csv, and goes on serving.

python samples/demo.py [--port 8000] [--data audiences-data] [--once]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

SAMPLE = Path(__file__).parent / "customers.csv"
STARTED_WITHIN_S = 60


def main() -> int:
    """Runs the demonstration; 0 if all went well."""
    parser = argparse.ArgumentParser(description="Start the server and upload a sample file.")
    parser.add_argument("--port", type=int, default=8000, help="where to serve; another is taken if it is in use")
    parser.add_argument("--data", default="audiences-data", help="the data folder")
    parser.add_argument("--once", action="store_true", help="stop when done, instead of serving on")
    chosen = parser.parse_args()
    address = f"http://127.0.0.1:{free_port(chosen.port)}"
    log = Path(chosen.data) / "server.log"
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = command("keys", "create", "demo", "--data", chosen.data).strip()
    with log.open("ab") as stream:
        serve = [
            sys.executable,
            "-m",
            "audiences.cli",
            "serve",
            "--port",
            address.rpartition(":")[2],
            "--data",
            chosen.data,
        ]
        begun = stream.tell()
        server = subprocess.Popen(serve, stderr=stream, stdin=subprocess.DEVNULL)
    try:
        wait_for(address, server, log)
        show(address, key)
        print(f"\n  docs  {address}/docs\n  key   {key}\n  data  {chosen.data}   log  {log}")
        print(f"  {console(address, log, begun)}\n")
        if chosen.once:
            return 0
        print("Serving. Ctrl-C stops it.", flush=True)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.send_signal(signal.SIGINT)
        server.wait()


def show(address: str, key: str) -> None:
    """Uploads the sample, and prints the answer and the report."""
    print(
        f"\n$ curl -F name=NE_USA-above50 -F audience_file=@{SAMPLE.name} \\\n"
        f'       -H "Authorization: Bearer $KEY" {address}/audiences'
    )
    body, kind = form({"name": "NE_USA-above50"}, SAMPLE)
    made = call(f"{address}/audiences", key, body, kind)
    print(json.dumps(made, indent=2, ensure_ascii=False))
    path = f"/audiences/{made['data']['id']}"
    print(f'\n$ curl -H "Authorization: Bearer $KEY" {address}{path}')
    print(json.dumps(call(address + path, key), indent=2, ensure_ascii=False))
    print(f'\n$ curl -H "Authorization: Bearer $KEY" "{address}{path}/rejects?limit=3"')
    print(json.dumps(call(f"{address}{path}/rejects?limit=3", key), indent=2, ensure_ascii=False))


def console(address: str, log: Path, begun: int) -> str:
    """Where to sign in: by the one-time link that the server printed, or as a user that there is already."""
    with log.open("rb") as stream:
        stream.seek(begun)
        link = re.search(rb"http\S+/console/welcome\?link=\w+", stream.read())
    if link is None:
        return f"console  {address}/console"
    return f"console  set the first admin's password, once:\n  {link[0].decode()}"


def command(*arguments: str) -> str:
    """What `audiences …` prints."""
    made = subprocess.run(
        [sys.executable, "-m", "audiences.cli", *arguments], check=True, capture_output=True, text=True
    )
    return made.stdout


def wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Returns once the server takes requests."""
    end = time.monotonic() + STARTED_WITHIN_S
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    sys.exit(f"The server did not start; {log} says why:\n{log.read_text()[-2000:]}")


def call(url: str, key: str, body: bytes | None = None, kind: str = "") -> Any:
    """The JSON that a request is answered with."""
    headers = {"Authorization": f"Bearer {key}"} | ({"Content-Type": kind} if kind else {})
    with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=60) as response:
        return json.load(response)


def form(fields: dict[str, str], file: Path) -> tuple[bytes, str]:
    """A multipart form with one file, and its content type."""
    boundary = secrets.token_hex(16)
    parts = [f'Content-Disposition: form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in fields.items()]
    head = f'Content-Disposition: form-data; name="audience_file"; filename="{file.name}"\r\n\r\n'
    parts.append(head.encode() + file.read_bytes())
    body = b"".join(b"--%s\r\n%s\r\n" % (boundary.encode(), part) for part in parts)
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def free_port(wanted: int) -> int:
    """`wanted`, or any free port where it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    sys.exit("No port is free.")


if __name__ == "__main__":
    os.chdir(Path(__file__).parent.parent)
    sys.exit(main())
