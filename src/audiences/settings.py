"""Every setting: its unit in its name, its default, and the reason beside it; read once, then frozen.

Settings are environment variables: `max_upload_bytes` is `AUDIENCES_MAX_UPLOAD_BYTES`. An unknown `AUDIENCES_*`
variable or a value of the wrong kind refuses to start, since a setting that is silently ignored is found too late.
A secret may also stand in a file whose path is given as `AUDIENCES_<NAME>_FILE`.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from audiences.fetch_guard import read_allowed

PREFIX = "AUDIENCES_"
KIB, MIB, GIB = 1024, 1024**2, 1024**3

LEAST_CONNECTIONS = 4

# A client keeps its key and the server's address here; they are no settings of the server.
NOT_SETTINGS = frozenset({"AUDIENCES_API_KEY", "AUDIENCES_URL"})


class SettingsError(Exception):
    """A setting that cannot be used; the message names the variable and what it may hold."""


@dataclass(frozen=True)
class RateLimit:
    """`amount` requests in each `seconds`; written `100/minute`."""

    amount: int
    seconds: int


def parse_bytes(text: str) -> int:
    """Bytes of `512MiB`, `5 GiB` or `1073741824`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(B|KB|MB|GB|TB|KIB|MIB|GIB|TIB)?", text.strip().upper())
    if match is None:
        raise ValueError("a size such as 512MiB or 5GiB")
    unit = match[2] or "B"
    base = KIB if "I" in unit else 1000
    return int(float(match[1]) * base ** "BKMGT".index(unit[0]))


def parse_optional_bytes(text: str) -> int | None:
    """Bytes, or None for `off`."""
    return None if text.strip().lower() == "off" else parse_bytes(text)


def parse_rate_limit(text: str) -> RateLimit | None:
    """A rate such as `100/minute` or `5/10 seconds`, or None for `off`."""
    if text.strip().lower() == "off":
        return None
    match = re.fullmatch(r"(\d+)\s*/\s*(\d+)?\s*(second|minute|hour|day)s?", text.strip().lower())
    if match is None or int(match[1]) < 1:
        raise ValueError("a rate such as 100/minute, or off")
    unit = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[match[3]]
    return RateLimit(int(match[1]), unit * int(match[2] or 1))


def parse_networks(text: str) -> tuple[str, ...]:
    """Addresses or networks, separated by commas, each checked."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        try:
            ipaddress.ip_network(part, strict=False)
        except ValueError:
            raise ValueError("addresses or networks, separated by commas, such as 10.0.0.0/8,192.168.1.7") from None
    return parts


def parse_hosts(text: str) -> tuple[str, ...]:
    """Names of hosts, separated by commas, each checked and with its port: `files.example.com:443`."""
    try:
        return tuple(read_allowed(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError(
            "names of hosts, separated by commas, such as files.example.com,*.example.org:8443; no addresses"
        ) from None


def parse_address(text: str) -> tuple[str, int] | None:
    """Host and port of `127.0.0.1:9090`, or None for `off`."""
    if text.strip().lower() == "off":
        return None
    host, _, port = text.strip().rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
        raise ValueError("an address such as 127.0.0.1:9090, or off")
    return host.strip("[]"), int(port)


def parse_count(text: str) -> int:
    """A whole number, at least 1."""
    if not re.fullmatch(r"[1-9]\d{0,5}", text.strip()):
        raise ValueError("a whole number, such as 10")
    return int(text)


def parse_optional_days(text: str) -> int | None:
    """A whole number of days, or None for `off`."""
    return None if text.strip().lower() == "off" else parse_count(text)


def parse_connections(text: str) -> int:
    """A whole number, at least 4: the sweep holds one, two are for reads, and one writes."""
    if not re.fullmatch(r"[1-9]\d{0,5}", text.strip()) or int(text) < LEAST_CONNECTIONS:
        raise ValueError(f"a whole number of at least {LEAST_CONNECTIONS}")
    return int(text)


def parse_url(schemes: str, example: str) -> Callable[[str], str]:
    """Reads an address of one of those schemes, separated by blanks. It may hold a password, so no error repeats it."""

    def parse(text: str) -> str:
        address = text.strip()
        scheme, found, rest = address.partition("://")
        if not found or not rest or scheme.lower() not in schemes.split():
            raise ValueError(f"an address such as {example}")
        return address

    return parse


def parse_seconds(text: str) -> float:
    """Seconds, more than none."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 10**9:
        raise ValueError("a number of seconds, such as 30")
    return seconds


def setting(reader: Callable[[str], Any], default: Any, why: str) -> Any:  # noqa: ANN401 - any field's type
    """One setting: how its text is read, its default, and what the operator's page says of it."""
    return field(default=default, metadata={"reader": reader, "why": why})


@dataclass(frozen=True)
class Settings:
    """What an operator may set. Every name here is a variable and stands in `docs/settings.md`."""

    data: Path = setting(
        lambda text: Path(text).expanduser(),
        Path("audiences-data"),
        "Folder of everything that is stored: the catalog, the files, and the spool of uploads under way.",
    )
    database_url: str | None = setting(
        parse_url("postgresql", "postgresql://user:password@host/audiences"),
        None,
        "The catalog on PostgreSQL, which several nodes can share; without it, SQLite in the data folder.",
    )
    database_connections: int = setting(
        parse_connections,
        10,
        "Connections of this node to PostgreSQL, at most; 4 or more. All nodes need fewer than its max_connections.",
    )
    storage_url: str | None = setting(
        parse_url("s3", "s3://bucket/prefix"),
        None,
        "Stored files as S3 objects, which several nodes can share; without it, files in the data folder. Endpoint, "
        "region and credentials come from the usual variables: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID.",
    )
    cache_bytes: int = setting(
        parse_bytes,
        10 * GIB,
        "Local copies of S3 objects that were read lately (bytes); a page is read from a copy in milliseconds.",
    )
    redis_url: str | None = setting(
        parse_url("redis rediss", "redis://host:6379"),
        None,
        "The counters of rate limits in Redis or Valkey, so that all nodes count together; without it, each by itself.",
    )
    public_url: str | None = setting(
        parse_url("http https", "https://audiences.example.com"),
        None,
        "The address that people and programs reach the service at, for links; without it, what the request says. "
        "With https, the console's cookies are sent over https alone.",
    )
    uploads_at_once: int | None = setting(
        parse_count,
        None,
        "Uploads in the engine at once; by default as many as memory_limit and the cores are good for.",
    )
    uploads_waiting: int = setting(
        parse_count, 32, "Uploads that wait for a place in the engine; one more is told to come back (503)."
    )
    rate_limit: RateLimit | None = setting(
        parse_rate_limit,
        RateLimit(100, 60),
        "Uploads a key, and a user of the console: enough for a busy integration, too few to fill a disk unnoticed.",
    )
    read_rate_limit: RateLimit | None = setting(
        parse_rate_limit, RateLimit(1000, 60), "Every other request of a key: reads are cheap, so ten times as many."
    )
    failed_auth_limit: RateLimit | None = setting(
        parse_rate_limit,
        RateLimit(30, 60),
        "Failed authentications an address, so that keys cannot be guessed at speed; it never refuses a valid key.",
    )
    sign_in_limit: RateLimit | None = setting(
        parse_rate_limit,
        RateLimit(10, 60),
        "Tries to sign in to the console, for an address and for an email address: a person needs two or three.",
    )
    trusted_proxies: tuple[str, ...] = setting(
        parse_networks, (), "Networks whose X-Forwarded-For is believed; anybody else could write any address into it."
    )
    max_upload_bytes: int = setting(
        parse_bytes, 5 * GIB, "Bytes of one request's body, and of a file once unpacked: some 80 million rows."
    )
    account_bytes: int | None = setting(
        parse_optional_bytes, None, "Quota: stored bytes an account; off means no quota."
    )
    keep_uploads_days: int | None = setting(
        parse_optional_days,
        None,
        "Days that the file of an upload is kept as it was sent, beside the rows that were read from it. Off by "
        "default: nothing of it stays then. It counts in the quota, and all of an account's go with an erasure in it.",
    )
    memory_limit: int = setting(
        parse_bytes,
        1 * GIB,
        "Memory of the engine for all uploads of this node together (bytes); above it, it spills to the data folder. "
        "A workbook's child process has half of it to itself.",
    )
    min_free_bytes: int = setting(
        parse_bytes, 256 * MIB, "Free disk that an upload must leave: the catalog and the log need room to go on."
    )
    receive_idle_timeout_s: float = setting(
        parse_seconds, 30.0, "Seconds without a byte after which a body is given up: a stalled client holds a place."
    )
    receive_timeout_s: float = setting(
        parse_seconds, 3600.0, "Seconds for a whole body: 5 GiB at 12 Mbit/s, and the end of a client that drips."
    )
    workbook_timeout_s: float = setting(
        parse_seconds, 120.0, "Seconds to read a workbook; a full sheet takes about six."
    )
    url_hosts: tuple[str, ...] = setting(
        parse_hosts,
        (),
        "Hosts that a file may be fetched from by its https URL: `files.example.com`, or `*.example.com` for all names "
        "below it, on port 443 unless `:port` is added. None by default: the server asks nobody on a caller's behalf.",
    )
    metrics_address: tuple[str, int] | None = setting(
        parse_address, None, "Address of /metrics (Prometheus), apart from the API's; off by default."
    )

    @property
    def workbook_memory_bytes(self) -> int:
        """Bytes of memory that the child process of a workbook has to itself (the contract: half of the limit)."""
        return self.memory_limit // 2


# How a text is read, by variable: the table that the documentation and the tests walk.
VARIABLES: Mapping[str, Any] = {PREFIX + item.name.upper(): item for item in fields(Settings)}


def read_settings(environment: Mapping[str, str], **given: Any) -> Settings:  # noqa: ANN401 - any field's value
    """Settings from `environment`; `given` values (from the command line) win over it.

    Raises SettingsError for an unknown `AUDIENCES_*` variable or a value that cannot be used.
    """
    values: dict[str, Any] = {}
    for variable, text in from_files(environment).items():
        item = VARIABLES.get(variable)
        if item is None:
            raise SettingsError(unknown_variable(variable))
        try:
            values[item.name] = item.metadata["reader"](text)
        except ValueError as error:
            raise SettingsError(f"{variable} cannot be used: it takes {error}.") from None
    values.update({name: value for name, value in given.items() if value is not None})
    return Settings(**values)


def from_files(environment: Mapping[str, str]) -> dict[str, str]:
    """The `AUDIENCES_*` variables, those given as `…_FILE` replaced by their file's content."""
    found: dict[str, str] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable in NOT_SETTINGS:
            continue
        bare = variable.removesuffix("_FILE")
        if bare == variable:
            found[variable] = text
            continue
        try:
            found[bare] = Path(text).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise SettingsError(f"{variable} names a file that cannot be read: {error.strerror}.") from None
    return found


def unknown_variable(variable: str) -> str:
    """The sentence that refuses `variable`, with the likeliest setting that was meant."""
    near = difflib.get_close_matches(variable, VARIABLES, n=1)
    hint = f" Did you mean {near[0]}?" if near else f" Known are: {', '.join(sorted(VARIABLES))}."
    return f"{variable} is not a setting.{hint}"
