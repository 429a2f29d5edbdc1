"""Settings: what is read, and what refuses to start."""

from __future__ import annotations

from pathlib import Path

import pytest

from audiences.settings import VARIABLES, RateLimit, Settings, SettingsError, read_settings


def test_without_any_variable_the_defaults_hold() -> None:
    assert read_settings({"PATH": "/bin", "AUDIENCES_API_KEY": "aud_x"}) == Settings()


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        ("AUDIENCES_RATE_LIMIT", "5/minute", "rate_limit", RateLimit(5, 60)),
        ("AUDIENCES_RATE_LIMIT", "10 / 30 seconds", "rate_limit", RateLimit(10, 30)),
        ("AUDIENCES_FAILED_AUTH_LIMIT", "3/hour", "failed_auth_limit", RateLimit(3, 3600)),
        ("AUDIENCES_READ_RATE_LIMIT", "off", "read_rate_limit", None),
        ("AUDIENCES_MAX_UPLOAD_BYTES", "1 GiB", "max_upload_bytes", 2**30),
        ("AUDIENCES_MEMORY_LIMIT", "512MB", "memory_limit", 512_000_000),
        ("AUDIENCES_ACCOUNT_BYTES", "1024", "account_bytes", 1024),
        ("AUDIENCES_METRICS_ADDRESS", "127.0.0.1:9090", "metrics_address", ("127.0.0.1", 9090)),
        ("AUDIENCES_METRICS_ADDRESS", "[::1]:9090", "metrics_address", ("::1", 9090)),
        ("AUDIENCES_TRUSTED_PROXIES", "10.0.0.0/8, 192.168.1.7", "trusted_proxies", ("10.0.0.0/8", "192.168.1.7")),
        ("AUDIENCES_DATA", "/srv/a", "data", Path("/srv/a")),
    ],
)
def test_a_variable_is_read_in_its_unit(variable: str, text: str, name: str, value: object) -> None:
    assert getattr(read_settings({variable: text}), name) == value


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("AUDIENCES_RATE_LIMITS", "5/minute", "Did you mean AUDIENCES_RATE_LIMIT?"),
        ("AUDIENCES_NONSENSE_AT_ALL", "1", "is not a setting"),
        ("AUDIENCES_RATE_LIMIT", "many", "100/minute"),
        ("AUDIENCES_RATE_LIMIT", "0/minute", "100/minute"),
        ("AUDIENCES_MAX_UPLOAD_BYTES", "-1", "512MiB"),
        ("AUDIENCES_MEMORY_LIMIT", "", "512MiB"),
        ("AUDIENCES_TRUSTED_PROXIES", "everyone", "10.0.0.0/8"),
        ("AUDIENCES_METRICS_ADDRESS", "9090", "127.0.0.1:9090"),
        ("AUDIENCES_RECEIVE_TIMEOUT_S", "soon", "30"),
        ("AUDIENCES_DATABASE_CONNECTIONS", "3", "at least 4"),
        ("AUDIENCES_DATABASE_CONNECTIONS", "many", "at least 4"),
        ("AUDIENCES_RATE_LIMIT_FILE", "/does/not/exist", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_used_refuses_to_start_and_says_why(variable: str, text: str, words: str) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({variable: text})
    assert variable in str(refused.value)
    assert words in str(refused.value)


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "limit"
    file.write_text("7/minute\n")
    assert read_settings({"AUDIENCES_RATE_LIMIT_FILE": str(file)}).rate_limit == RateLimit(7, 60)


def test_what_the_command_line_gives_wins() -> None:
    assert read_settings({"AUDIENCES_DATA": "/a"}, data=Path("/b")).data == Path("/b")


def test_every_default_is_what_its_own_reader_could_have_read() -> None:
    """No setting's reader is anything but a function of a text."""
    for item in VARIABLES.values():
        with pytest.raises(ValueError, match=r"\w"):
            item.metadata["reader"]("\0") if item.name != "data" else int("x")


def test_every_setting_says_why_its_default_is_what_it_is() -> None:
    assert all(item.metadata["why"].endswith(".") for item in VARIABLES.values())
