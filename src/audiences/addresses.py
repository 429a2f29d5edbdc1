"""Where people and programs reach the service: what the operator says, else the best that whoever asks knows."""

from __future__ import annotations

from audiences.settings import Settings


def of_service(settings: Settings, otherwise: str) -> str:
    """The service's address without a slash at its end: the setting `public_url`, or `otherwise`."""
    return (settings.public_url or otherwise).rstrip("/")


def welcome(service: str, token: str) -> str:
    """The link of a token that sets a password, on the service at that address."""
    return f"{service.rstrip('/')}/console/welcome?link={token}"
