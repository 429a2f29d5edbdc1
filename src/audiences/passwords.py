"""Passwords: which ones will do, and how they are kept.

Kept is the text of argon2id, at the parameters that RFC 9106 (section 4) gives for machines whose memory is shared.
Rules are those of OWASP's ASVS 5.0, section 6.2, with 12 characters where it asks for 8: length and not being a known
password count, kinds of characters do not, and any character may be used.
"""

from __future__ import annotations

import base64
import re
import secrets
import string
import threading
import unicodedata
from functools import cache

from argon2 import Parameters, PasswordHasher, exceptions
from argon2.profiles import RFC_9106_LOW_MEMORY

MIN_LENGTH, MAX_LENGTH = 12, 1024

# Each takes 64 MiB for a seventh of a second: more at once would only take more memory.
AT_ONCE = 2

# Of at least 12 characters, without regard to case: counting, runs on a keyboard, and words that head every collection
# of leaked passwords; what the library's lists do not have of them.
COMMON = frozenset(
    """
    0123456789012 0987654321098 123123123123 1234512345123 123456123456 1234567654321 123456789012 1234567890123
    12345678901234 123456789012345 1234567890123456 1234567891011 123456789101112 123456789123456789 147258369147
    1q2w3e4r5t6y7u 1q2w3e4r5t6y7u8i 987654321012 abcdefghijkl abcdefghijklmnop abcdefghijklmnopqrstuvwxyz
    asdfghjklzxcvbnm changemechangeme correcthorsebatterystaple iloveyouforever iloveyousomuch letmeinletmein
    manchesterunited p@ssword1234 qwer1234qwer qwertyqwerty qwertyuiopasdfghjkl qwertyuiopasdfghjklzxcvbnm
    thisismypassword trustno1trustno1 unknownpassword zaq12wsxcde3 zaq1zaq1zaq1 zxcvbnmasdfghjkl
    """.split()  # noqa: SIM905 - a list of them would fill the page
)


# A listed word of so many letters is guessed with whatever digits and signs around it; a shorter one may be a chance.
FEWEST_LETTERS = 4

# What this service is about; a password of such words and no others, with any digits and signs, is guessed as well.
OF_THE_SERVICE = re.compile(r"audiences?|console|phones?|numbers?|contacts?|campaigns?|uploads?|admin|password|welcome")


class WeakPassword(Exception):
    """The password will not do; the message says what to do."""


def normalised(password: str) -> str:
    """The password in one Unicode form, since keyboards write ü in two; cut where it is too long to be anybody's."""
    return unicodedata.normalize("NFC", password[: 4 * MAX_LENGTH])[: MAX_LENGTH + 1]


def check(password: str, email: str) -> None:
    """Raises WeakPassword unless it will do for the user of that address."""
    password = normalised(password)
    if len(password) < MIN_LENGTH:
        raise WeakPassword(f"Use at least {MIN_LENGTH} characters: a few words in a row are easy to remember.")
    if len(password) > MAX_LENGTH:
        raise WeakPassword(f"Use at most {MAX_LENGTH:,} characters.")
    folded = password.strip().casefold()
    if folded in {email, email.partition("@")[0]}:
        raise WeakPassword("Use something else than your email address: it is the first thing that is tried.")
    if len(set(folded)) <= 2 or is_listed(folded) or is_of_the_service(folded):  # noqa: PLR2004 - one key, or two in turns
        raise WeakPassword("This is one of the passwords that are tried first. Use a few words that only you combine.")


@cache
def listed() -> frozenset[str]:
    """The 30,000 commonest of leaked passwords, and the words and names that most others are made of: zxcvbn's lists.

    Its own estimate takes seconds of some passwords, which would be for whoever sends one to decide.
    """
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # a tenth of a second, and seldom needed

    return COMMON.union(*FREQUENCY_LISTS.values())


def is_listed(folded: str) -> bool:
    """Whether a password is known, or is a known word with digits and signs around it."""
    bare = folded.strip(string.digits + string.punctuation + string.whitespace)
    return folded in listed() or (len(bare) >= FEWEST_LETTERS and bare in listed())


def is_of_the_service(folded: str) -> bool:
    """Whether the letters of a password make words of the service's own and nothing else."""
    letters = "".join(filter(str.isalpha, folded))
    return bool(letters) and not OF_THE_SERVICE.sub("", letters)


class Passwords:
    """argon2id at one set of parameters. Tests take cheap ones."""

    def __init__(self, parameters: Parameters = RFC_9106_LOW_MEMORY) -> None:
        self.hasher = PasswordHasher.from_parameters(parameters)
        self.nobodys = unmatched(parameters)
        self.turns = threading.BoundedSemaphore(AT_ONCE)

    def hash(self, password: str) -> str:
        """What is kept of a password."""
        with self.turns:
            return self.hasher.hash(encoded(password))

    def matches(self, kept: str | None, password: str) -> bool:
        """Whether `kept` was made of that password. With None it takes as long, and it was not."""
        with self.turns:
            try:
                return self.hasher.verify(kept or self.nobodys, encoded(password))
            except exceptions.VerifyMismatchError:
                return False

    def is_outdated(self, kept: str) -> bool:
        """Whether `kept` was made with other parameters than those of now."""
        return self.hasher.check_needs_rehash(kept)


def encoded(password: str) -> bytes:
    """A password's bytes."""
    return normalised(password).encode("utf-8", "surrogatepass")


def unmatched(parameters: Parameters) -> str:
    """A hash that no password has, but which costs as much to compare: what an unknown user's is compared with."""
    salt, digest = (
        base64.b64encode(secrets.token_bytes(length)).decode().rstrip("=")
        for length in (parameters.salt_len, parameters.hash_len)
    )
    costs = f"m={parameters.memory_cost},t={parameters.time_cost},p={parameters.parallelism}"
    return f"$argon2id$v={parameters.version}${costs}${salt}${digest}"
