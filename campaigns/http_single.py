"""Requests one by one: the tables of hostile requests and forms."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence

from campaigns.http_cases import Case, cases
from campaigns.http_forms import FormCase, form_cases
from campaigns.http_judge import Attack
from campaigns.http_requests import MULTIPART, get

# What is sent behind each hostile request: whoever is out of step answers something else, or nothing.
PROBE = get(b"/healthz", b"X-Request-ID: probe", b"Connection: close")


def run(attack: Attack, rounds: int, chance: random.Random) -> None:
    """All of both tables so often; each request once in one piece, else in pieces of random lengths."""
    for number in range(rounds):
        run_once(attack, chance, whole=number == 1)


def run_once(attack: Attack, chance: random.Random, *, whole: bool) -> None:
    """All of both tables."""
    for case in cases(attack.caller):
        attack.outcome.count("hostile requests")
        sent = case.sent + PROBE
        hold(attack, case, [sent] if whole else in_pieces(sent, chance))
    for form in form_cases():
        attack.outcome.count("hostile forms")
        hold_form(attack, form, chance)


def in_pieces(sent: bytes, chance: random.Random, most: int = 12) -> list[bytes]:
    """The same in up to so many pieces."""
    cuts = sorted(chance.randrange(len(sent)) for _ in range(most - 1))
    return [sent[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(sent)], strict=True)]


def hold(attack: Attack, case: Case, sent: Sequence[bytes]) -> None:
    """Sends one request, and holds what comes back against what has to."""
    exchange = attack.talk(*sent, methods=case.methods)
    attack.judge(case.name, exchange)
    wanted = [*case.statuses, *([200] if case.goes_on else [])]
    if exchange.statuses != wanted:
        attack.lose(case.name, f"answered {exchange.statuses[:30]} where {wanted} was due")
    ids = [answer.headers.get("x-request-id") for answer in exchange.answers]
    if ("probe" in ids) != case.goes_on or "probe" in ids[:-1]:
        attack.lose(case.name, "the connection got out of step", ids)


def hold_form(attack: Attack, case: FormCase, chance: random.Random) -> None:
    """Uploads one form, whole or in chunks, and holds the answer and the stored file against what has to be."""
    if case.kind == MULTIPART and chance.random() < 0.5:  # noqa: PLR2004
        sent = [attack.caller.upload_in_chunks(case.form)]
    else:
        sent = in_pieces(attack.caller.upload(case.form, kind=case.kind), chance)
    exchange = attack.talk(*sent, None)
    attack.judge(case.name, exchange)
    if exchange.statuses != [case.status] or (case.code and exchange.answers[0].codes != [case.code]):
        found = [answer.codes for answer in exchange.answers]
        attack.lose(case.name, f"answered {exchange.statuses} {found} where {case.status} {case.code} was due")
    elif case.status == 201:  # noqa: PLR2004
        report = attack.ask(f"/audiences/{json.loads(exchange.answers[0].body)['data']['id']}")
        file = report["files"][0]
        if (file["rows"], file["accepted"], file["name"]) != (case.rows, 2, case.file_name):
            attack.lose(
                case.name, "the file was stored as something else", file["rows"], file["accepted"], file["name"]
            )
