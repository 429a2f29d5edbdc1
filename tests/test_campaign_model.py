"""The API against a model of it, in short."""

from __future__ import annotations

from campaigns.model import compare

from support import Service


def test_the_service_says_what_the_model_says_whatever_two_accounts_ask(service: Service) -> None:
    outcome = compare(service, number=1, talks=4, steps=25)
    assert outcome.losses == []
    assert int(outcome.figures["requests"]) > 300
