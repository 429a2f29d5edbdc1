"""What an operator starts several nodes with is right as far as it can be known without a registry.

compose.yaml, the Dockerfile and Caddy's file are read as texts and held against the code that they start; the commands
that the page gives for the secrets are run. Nothing is built and no container runs: docs/cluster.md says so.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml  # type: ignore[import-untyped]  # it comes with schemathesis, its stubs would not

from audiences.cli import app
from audiences.route_table import ROUTES
from audiences.server import DRAIN_S
from audiences.settings import MIB, VARIABLES, parse_bytes, parse_networks, read_settings
from support import Service

ROOT = Path(__file__).parent.parent
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
CADDYFILE = (ROOT / "deploy" / "Caddyfile").read_text(encoding="utf-8")
COMPOSE_TEXT = (ROOT / "compose.yaml").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
NODES = ("node1", "node2")


def with_defaults(text: str) -> str:
    """The text as Compose reads it where no variable is set: `${NAME:-default}` is the default."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


COMPOSE: dict[str, Any] = yaml.safe_load(with_defaults(COMPOSE_TEXT))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def stages() -> dict[str, list[str]]:
    """The Dockerfile's instructions by stage, the last one under the name of the image."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    found: dict[str, list[str]] = {}
    for line in filter(None, joined.splitlines()):
        if line.startswith("FROM "):
            stage = line.partition(" AS ")[2] or "audiences"
            found[stage] = []
        found[stage].append(line)
    return found


STAGES = stages()


def instruction(stage: str, word: str) -> str:
    """What follows the last instruction of that word in a stage."""
    return next(line for line in reversed(STAGES[stage]) if line.startswith(f"{word} ")).partition(" ")[2]


def environment(stage: str) -> dict[str, str]:
    """The variables that a stage sets."""
    lines = [line.partition(" ")[2] for line in STAGES[stage] if line.startswith("ENV ")]
    return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))


def healthcheck() -> list[str]:
    """The image's own check."""
    command: list[str] = json.loads(instruction("audiences", "HEALTHCHECK").partition("CMD ")[2])
    return command


def test_every_variable_is_a_setting() -> None:
    for text in (DOCKERFILE, COMPOSE_TEXT, CADDYFILE, PAGE):
        for name in re.findall(r"\bAUDIENCES_[A-Z_]*[A-Z]\b", text):
            assert name in VARIABLES or name.removesuffix("_FILE") in VARIABLES, name


@pytest.mark.parametrize("name", NODES)
def test_a_node_reads_its_settings(name: str, tmp_path: Path) -> None:
    """As the server does at its start, with the files that the page's commands make in place of the mounted ones."""
    secrets = made_secrets(tmp_path)
    given = environment("audiences") | {key: str(value) for key, value in SERVICES[name]["environment"].items()}
    settings = read_settings({key: value.replace("/run/secrets", str(secrets)) for key, value in given.items()})
    assert settings.database_url is not None
    assert settings.database_url.endswith("@database/audiences")
    assert settings.redis_url is not None
    assert settings.redis_url.endswith("@counters:6379/0")
    assert settings.data.is_relative_to("/var/lib/audiences")


def made_secrets(folder: Path) -> Path:
    """What the commands on the page make."""
    commands = re.search(r"<!-- secrets -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    assert commands is not None
    subprocess.run(["sh", "-eu", "-c", commands[1]], cwd=folder, check=True, capture_output=True)
    return folder / "secrets"


def test_the_commands_on_the_page_make_every_secret_and_both_sides_agree(tmp_path: Path) -> None:
    folder = made_secrets(tmp_path)
    named = {tmp_path / item["file"] for item in COMPOSE["secrets"].values()}
    named |= {tmp_path / file for service in SERVICES.values() for file in service.get("env_file", [])}
    assert {path.name for path in named} == {path.name for path in folder.iterdir()}
    password = (folder / "database_password").read_text().strip()
    assert password
    assert f":{password}@" in (folder / "database_url").read_text()
    counters = (folder / "counters.conf").read_text().split()
    assert counters[0] == "requirepass"
    assert f":{counters[1]}@" in (folder / "redis_url").read_text()
    keys = dict(line.split("=", 1) for line in (folder / "objects.env").read_text().split())
    assert set(keys) == {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert all(keys.values())


def test_secrets_are_neither_committed_nor_sent_to_a_build() -> None:
    assert "/secrets/" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()
    allowed = [line for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n") if line[:1] in "!*"]
    assert allowed[0] == "*"
    assert "!secrets" not in allowed
    assert not re.search(r"(?i)(password|secret)\w*=", DOCKERFILE)


@every_service
def test_every_file_secret_is_mounted_where_it_is_read(name: str) -> None:
    service = SERVICES[name]
    text = json.dumps([service.get("environment", {}), service.get("command", [])])
    assert set(re.findall(r"/run/secrets/(\w+)", text)) == set(service.get("secrets", []))


def images() -> Iterator[str]:
    """Every image that is fetched from somewhere."""
    yield from re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    yield from (service["image"] for service in SERVICES.values() if "build" not in service)


def test_every_image_has_its_version() -> None:
    for image in images():
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-[a-z.0-9-]+)?", image), image
    ours = {service["image"] for service in SERVICES.values() if "build" in service}
    assert ours == {f"{image}:{VERSION}" for image in ("audiences", "audiences-proxy", "audiences-objects")}


def test_the_python_of_the_image_is_one_that_the_package_runs_on() -> None:
    versions = set(re.findall(r"^FROM python:(\d+)\.(\d+)", DOCKERFILE, re.MULTILINE))
    assert len(versions) == 1
    assert tuple(map(int, versions.pop())) >= (3, 11)


def test_what_the_image_is_made_of_is_there_and_is_sent_to_the_build() -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line.startswith("!")
    ]
    copied = [
        source
        for lines in STAGES.values()
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    ]
    assert sorted(copied) == sorted(sent)
    assert all((ROOT / source).exists() for source in copied)
    assert "--require-hashes" in DOCKERFILE


@every_service
def test_no_service_is_root_or_may_become_it(name: str) -> None:
    service = SERVICES[name]
    user = service.get("user") or instruction(service["build"].get("target", "audiences"), "USER")
    assert int(user.partition(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if name == "proxy" else [])


@every_service
def test_every_service_is_bounded_and_comes_back(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"]
    assert service["restart"] == "unless-stopped"
    assert {"mem_limit", "pids_limit", "stop_grace_period", "logging"} <= service.keys()
    assert "healthcheck" in service or service["build"].get("target", "audiences") == "audiences"


def test_only_the_proxy_has_ports_outside_and_the_stores_are_reached_by_the_nodes_alone() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy"}
    assert COMPOSE["networks"]["stores"]["internal"]
    within = {name for name, service in SERVICES.items() if "stores" in service["networks"]}
    assert within == {*NODES, "database", "objects", "counters"}
    assert set(SERVICES["proxy"]["networks"]) == {"front"}


def test_the_nodes_believe_the_proxy_and_nobody_else() -> None:
    address = SERVICES["proxy"]["networks"]["front"]["ipv4_address"]
    for name in NODES:
        assert parse_networks(SERVICES[name]["environment"]["AUDIENCES_TRUSTED_PROXIES"]) == (address,)
    (network,) = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert network["subnet"] == re.sub(r"\d+$", "0/24", address)


@pytest.mark.parametrize("name", [*NODES, "proxy"])
def test_nobody_is_killed_while_requests_under_way_may_end(name: str) -> None:
    assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > DRAIN_S + 3
    assert f"grace_period {DRAIN_S}s" in CADDYFILE


@pytest.mark.parametrize("name", NODES)
def test_a_node_has_room_for_its_memory_limit_and_a_workbook_beside_it(name: str) -> None:
    """A container that goes beyond is killed, with all that it was at."""
    limit = parse_bytes(SERVICES[name]["environment"]["AUDIENCES_MEMORY_LIMIT"])
    assert int(SERVICES[name]["mem_limit"].removesuffix("g")) * 1024 * MIB >= limit * 1.5 + 256 * MIB


def test_the_command_of_the_image_is_one_that_there_is() -> None:
    entry, words = (json.loads(instruction("audiences", word)) for word in ("ENTRYPOINT", "CMD"))
    assert entry == ["audiences"]
    root = typer.main.get_command(app)
    command = root.commands[words[0]]  # type: ignore[attr-defined]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in words if word.startswith("--")} <= known


def test_the_port_is_the_same_everywhere() -> None:
    port = instruction("audiences", "EXPOSE")
    assert json.loads(instruction("audiences", "CMD"))[-1] == port
    assert f":{port}/readyz" in healthcheck()[-1]
    assert set(re.findall(r"node\d:(\d+)", CADDYFILE + SERVICES["proxy"]["environment"]["NODES"])) == {port}


def test_the_proxy_sends_to_every_node() -> None:
    assert SERVICES["proxy"]["environment"]["NODES"].split() == [f"{name}:8000" for name in NODES]
    inside = dict(re.findall(r"^\t(http_port|https_port) (\d+)", CADDYFILE, re.MULTILINE))
    published = dict(port.split(":") for port in SERVICES["proxy"]["ports"])
    assert published == {"80": inside["http_port"], "443": inside["https_port"]}


def test_health_is_asked_of_a_route_that_there_is() -> None:
    """By the proxy, and by the image itself."""
    paths = {route.path for route in ROUTES}
    assert set(re.findall(r"health_uri (\S+)", CADDYFILE)) | set(re.findall(r":8000(/\w+)", healthcheck()[-1])) <= paths


def test_the_check_of_the_image_says_whether_a_server_is_ready(service: Service) -> None:
    """Run as it stands, but for the port: 0 beside a server, 1 beside none."""
    program, *arguments = healthcheck()
    assert program == "python"
    port = service.url.rpartition(":")[2]
    for here, status in ((port, 0), ("9", 1)):
        code = [part.replace(":8000/", f":{here}/") for part in arguments]
        ast.parse(code[-1])
        assert subprocess.run([sys.executable, *code], check=False, capture_output=True).returncode == status


def test_what_caddy_answers_itself_is_in_the_envelope() -> None:
    (body,) = re.findall(r"respond `([^`]+)` 503", CADDYFILE)
    said = json.loads(body)
    assert (said["status"], said["description"]) == (503, "Service Unavailable")
    assert said["errors"][0]["code"] == "not_ready"


@every_service
def test_every_volume_secret_and_dependency_is_there(name: str) -> None:
    service = SERVICES[name]
    for volume in service.get("volumes", []):
        assert volume.partition(":")[0] in COMPOSE["volumes"]
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
    for other, needs in service.get("depends_on", {}).items():
        assert other in SERVICES
        assert needs["condition"] in {"service_healthy", "service_started"}


def test_no_two_nodes_share_a_data_folder() -> None:
    volumes = [volume for name in NODES for volume in SERVICES[name]["volumes"]]
    assert len(set(volumes)) == len(NODES)
    assert all(volume.endswith(instruction("audiences", "VOLUME")) for volume in volumes)
