"""What may be fetched: hosts by name, addresses by kind, and the URLs that are read at all."""

from __future__ import annotations

import asyncio

import pytest

from audiences import fetch_guard
from audiences.fetch_guard import Link, is_allowed, is_public, read_link
from audiences.settings import SettingsError, read_settings


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "2606:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:8.8.8.8",
        "2002:808:808::1",
        "64:ff9b::808:808",
        "64:ff9b:1::808:808",
    ],
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::8.8.8.8",
        "fe80::1",
        "fe80::1%lo",
        "fc00::1",
        "fd00:ec2::254",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "3fff::1",
        "5f00::1",
        "100::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2001:0:7f00:1::f7f7:f7f7",
        "2001:0:808:808:0:0:80ff:fffe",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::7f00:1",
        "64:ff9b:1:a00::1:808:808",
        "64:ff9b:1:0:a:0:800:0",
        "text",
        "1",
    ],
)
def test_an_address_of_any_other_kind_is_not_public_however_it_is_wrapped(address: str) -> None:
    assert not is_public(address)


def test_a_wildcard_is_for_names_below_and_a_port_for_itself() -> None:
    allowed = read_settings({"AUDIENCES_URL_HOSTS": "A.test., *.B.test:8443,bücher.test"}).url_hosts
    assert allowed == ("a.test:443", "*.b.test:8443", "xn--bcher-kva.test:443")
    for url in ("https://a.test", "https://x.b.test:8443/", "https://x.y.b.test:8443/", "https://BÜCHER.test:443/"):
        assert is_allowed(read_link(url), allowed), url
    for url in ("https://x.a.test", "https://a.test:8443", "https://b.test:8443", "https://xb.test:8443"):
        assert not is_allowed(read_link(url), allowed), url


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.com",
        "*.*.a.test",
        "a.*.test",
        "127.0.0.1",
        "[::1]",
        "::1",
        "https://a.test",
        "a.test/x",
        "a.test:0",
        "a.test:65536",
        "a.test:",
        "a.test:x",
        "-a.test",
        "a..test",
        "a b.test",
        "0x7f.1",
        "u@a.test",
        "x" * 64,
    ],
)
def test_an_allowed_host_that_is_no_name_refuses_to_start(text: str) -> None:
    with pytest.raises(SettingsError, match=r"AUDIENCES_URL_HOSTS .*files\.example\.com"):
        read_settings({"AUDIENCES_URL_HOSTS": f"good.test,{text}"})


def test_a_target_is_sent_as_it_stands_but_for_what_a_request_line_cannot_hold() -> None:
    assert read_link("https://a.test?q=%20 ü#x") == Link("a.test", 443, "/?q=%20%20%C3%BC")
    assert read_link("https://a.test/a%2Fb;c=1/?x=[1]&sig=a+b%3D") == Link(
        "a.test", 443, "/a%2Fb;c=1/?x=[1]&sig=a+b%3D"
    )


def test_the_real_resolver_returns_each_address_once() -> None:
    assert set(asyncio.run(fetch_guard.resolve("localhost", 443))) <= {"127.0.0.1", "::1"}
