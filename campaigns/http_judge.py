"""What is right of an answer whatever was asked, and the plain things that a campaign asks for."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from campaigns.http_requests import Caller
from campaigns.outcome import Outcome
from campaigns.serving import Server
from campaigns.wire import Answer, Exchange, Piece, talk

# Seconds within which a server has to be done with a connection whose client has said all it will say. Its own limits
# on those who go on are longer: 20 for headers, 10 for what is sent behind a refusal.
PROMPT_S = 5.0


@dataclass
class Attack:
    """A server under attack, whose key is used, and what came of it."""

    server: Server
    caller: Caller
    outcome: Outcome

    def talk(self, *pieces: Piece, methods: tuple[str, ...] = ()) -> Exchange:
        """Sends the pieces and reads what comes back."""
        return talk(self.server.address, pieces, methods)

    def ask(self, path: str) -> Any:  # noqa: ANN401 - whatever the route has as its data
        """The data at a path."""
        exchange = self.talk(self.caller.get(path.encode(), b"Connection: close"))
        return json.loads(exchange.answers[0].body)["data"]

    def lose(self, what: str, *facts: object) -> None:
        """Notes a loss."""
        self.outcome.losses.append(f"{what}: {', '.join(str(fact) for fact in facts)}"[:500])

    def judge(self, what: str, exchange: Exchange, *, prompt: bool = True) -> None:
        """Notes what is wrong with an exchange whatever was asked: a fault, no envelope, no end, a torn answer."""
        self.outcome.count("answers", len(exchange.answers))
        if exchange.broken:
            self.lose(what, "what came back is broken", exchange.broken)
        if exchange.ending == "open" or (prompt and exchange.seconds > PROMPT_S):
            self.lose(what, f"the connection hung for {exchange.seconds:.1f} s")
        for answer in exchange.answers:
            if fault := fault_in(answer):
                self.lose(what, fault, answer.status, answer.body[:100])


def fault_in(answer: Answer) -> str | None:
    """What is wrong with an answer whatever was asked."""
    if answer.status == 100:  # noqa: PLR2004
        return None
    if answer.status >= 500:  # noqa: PLR2004
        return "a fault of the server"
    if "x-request-id" not in answer.headers:
        return "an answer without an id"
    refused = answer.status >= 400  # noqa: PLR2004
    page = answer.headers.get("content-type", "").startswith("text/html")  # the console's; all else has the envelope
    if refused and answer.body and not (page or answer.codes):
        return "a refusal without the envelope"
    return None
