"""The bucket of stored files: where it is, how it is asked, and what an operator is told who cannot open it.

`obstore` reads the usual variables (AWS_*) from the process's environment by itself, among them those of roles of
instances, containers and web identities. Those that say where and who are handed over here, so that a test can have
its own; the files of the AWS command line (~/.aws) are not read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.exceptions import BaseError
from obstore.store import S3Store

from audiences.errors import CannotOpen

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

URL = re.compile(r"s3://(?P<bucket>[a-zA-Z0-9][a-zA-Z0-9._-]{1,254})(?:/(?P<prefix>[^?#]*))?", re.IGNORECASE)

ENDPOINT = re.compile(
    r"https?://[a-zA-Z0-9._-]+(:\d{1,5})?(/[^?#\s]*)?|https?://\[[0-9a-fA-F:]+\](:\d{1,5})?/?", re.IGNORECASE
)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

# Seconds for a connection, and for an answer to "are you there".
CONNECT_S, PROBE_S = 5.0, 5.0

# Seconds for a whole file, which may have gigabytes; between two of its bytes the common patience holds.
TRANSFER_S = 3600.0

# Behind every name of ours in a listing, which begins with two hexadecimal digits: a listing from here on is short.
BEHIND_ALL = "g"

CREDENTIALS = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN, if they came with one), or give the "
    "machine a role; either must be allowed to list, read, write and delete there."
)


@dataclass(frozen=True)
class Where:
    """A bucket, the prefix of our objects in it, and the address of the S3 service; empty for that of AWS."""

    bucket: str
    prefix: str
    endpoint: str

    @property
    def told(self) -> str:
        """In a message, behind an article."""
        return f"bucket {self.bucket} at {self.endpoint or 'AWS'}"


def read_url(url: str, environment: Mapping[str, str]) -> Where:
    """Reads `s3://bucket/prefix`. Raises CannotOpen."""
    match = URL.fullmatch(url.strip())
    if match is None:
        raise CannotOpen("AUDIENCES_STORAGE_URL cannot be used: it takes an address such as s3://bucket/prefix.")
    endpoint = first(environment, ENDPOINTS).strip().rstrip("/")
    if endpoint and ENDPOINT.fullmatch(endpoint) is None:
        raise CannotOpen("AWS_ENDPOINT_URL cannot be used: it takes an address such as https://s3.example.com:9000.")
    return Where(match["bucket"], (match["prefix"] or "").strip("/"), endpoint)


def first(environment: Mapping[str, str], variables: tuple[str, ...]) -> str:
    """The first of the variables that is set."""
    return next((environment[name] for name in variables if environment.get(name)), "")


def connections(where: Where, environment: Mapping[str, str], patience_s: float) -> tuple[S3Store, S3Store, S3Store]:
    """Three ways to ask the bucket: for requests that are answered at once, for whole files, and for signs of life.

    A failed request is made again for half of the patience; the last one may take the other half.
    """
    half, pause = timedelta(seconds=patience_s / 2), timedelta(seconds=min(3.0, patience_s / 10))
    patient: RetryConfig = {"retry_timeout": half, "backoff": {"max_backoff": pause}}
    impatient: RetryConfig = {"retry_timeout": timedelta(0), "max_retries": 0}
    # A part of an upload is a request of its own, whose answer has to begin within the time between two bytes.
    slow: ClientConfig = {"read_timeout": half, "timeout": timedelta(seconds=TRANSFER_S)}
    quick: ClientConfig = {"timeout": timedelta(seconds=min(PROBE_S, patience_s / 2))}
    return (
        connection(where, environment, {"timeout": half}, patient),
        connection(where, environment, slow, patient),
        connection(where, environment, quick, impatient),
    )


def connection(where: Where, environment: Mapping[str, str], client: ClientConfig, retry: RetryConfig) -> S3Store:
    """The bucket under its prefix. Raises CannotOpen where a variable cannot be used."""
    # Objects are removed one by one, which every S3 service can do; not all of them can remove many by one request.
    config: S3Config = {"disable_bulk_delete": True}
    if where.endpoint:
        config["endpoint"] = where.endpoint
    if region := first(environment, REGIONS):
        config["region"] = region
    if key := environment.get("AWS_ACCESS_KEY_ID"):
        config["access_key_id"] = key
    if secret := environment.get("AWS_SECRET_ACCESS_KEY"):
        config["secret_access_key"] = secret
    if token := environment.get("AWS_SESSION_TOKEN"):
        config["session_token"] = token
    if style := environment.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST"):
        config["virtual_hosted_style_request"] = style.lower() in {"true", "1", "yes", "on"}
    options: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_S),
        "allow_http": where.endpoint.lower().startswith("http://"),
        **client,
    }
    try:
        return S3Store(
            where.bucket, prefix=where.prefix or None, config=config, client_options=options, retry_config=retry
        )
    except (BaseError, ValueError) as error:
        raise CannotOpen(f"The variables AWS_* cannot be used: {summary(error)}.") from None


def check(store: S3Store, where: Where) -> None:
    """Raises CannotOpen, with what to set, unless the bucket is there and can be listed."""
    try:
        next(iter(store.list(offset=BEHIND_ALL)), None)
    except (BaseError, FileNotFoundError) as error:
        raise CannotOpen(explanation(str(error), where)) from None


def explanation(text: str, where: Where) -> str:
    """What an operator is told for what S3 or the library said."""
    told = code_of(text) or summary(text)
    if told == "NoSuchBucket":
        return f"There is no {where.told}. Make it, or set AUDIENCES_STORAGE_URL and AWS_ENDPOINT_URL to another."
    if told in {"PermanentRedirect", "AuthorizationHeaderMalformed"} or "redirect" in text:
        return f"AWS_REGION is not the region of the {where.told} ({told}). Set it to that region."
    if "/latest/" in text:  # the machine was asked for its role
        return f"There are no credentials for the {where.told}. {CREDENTIALS}"
    if "403 Forbidden" in text or "401 Unauthorized" in text:
        return f"The credentials are not good for the {where.told} ({told}). {CREDENTIALS}"
    return (
        f"The {where.told} does not answer as it should ({told}). Set AWS_ENDPOINT_URL to the address of S3, "
        "or leave it out for AWS, and see that this machine can reach it."
    )


def code_of(text: str) -> str:
    """The code by which S3 named the error ("AccessDenied"), or nothing if it did not answer."""
    code = re.search(r"<Code>(\w{1,64})</Code>", text)
    return code[1] if code else ""


def summary(error: object) -> str:
    """The first line of what the library said, short enough for a message."""
    line = str(error).partition("\n")[0].strip()
    return line if len(line) <= 300 else f"{line[:299]}…"  # noqa: PLR2004
