"""Codes of an authenticator app: TOTP (RFC 6238), six digits that change every 30 seconds."""

from __future__ import annotations

import hmac
import re

import pyotp

from audiences.clock import SECOND

ISSUER = "Audiences"
STEP = 30 * SECOND

# Steps before and after the present one whose codes do, since clocks differ (RFC 6238, section 5.2).
DRIFT = 1

SECRET = re.compile(r"[A-Z2-7]{32}")
CODE = re.compile(r"[0-9]{6}")


def new_secret() -> str:
    """160 random bits (RFC 4226, section 4) in base 32, as apps take them."""
    return pyotp.random_base32(32)


def uri(secret: str, email: str) -> str:
    """What an app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)


def step_of(secret: str, code: str, now: int) -> int | None:
    """The number of the 30 seconds that the code belongs to, or None if it belongs to none near `now`.

    `now` is in milliseconds. Blanks in the code do not matter. Whoever accepts it keeps the number, and accepts later
    ones only: a code is used once (RFC 6238, section 5.2).
    """
    digits = "".join(code.split())
    if not CODE.fullmatch(digits) or not SECRET.fullmatch(secret):
        return None
    present = now // STEP
    codes = pyotp.TOTP(secret)
    found = None
    # All of them are compared, so that the time tells nothing; the latest that fits counts.
    for step in range(present - DRIFT, present + DRIFT + 1):
        if hmac.compare_digest(codes.generate_otp(step), digits):
            found = step
    return found
