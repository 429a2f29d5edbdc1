"""The short version of the soak: seconds of everything at once; each answer is right, and nothing is left."""

from __future__ import annotations

from campaigns.outcome import Outcome
from campaigns.serving import new_keys, serving
from campaigns.soak import Sizes, Soak, check_disk, run
from campaigns.soak_client import Client
from campaigns.soak_files import Maker
from campaigns.soak_work import Account


def test_everything_at_once_is_answered_rightly_and_leaves_nothing() -> None:
    outcome = Outcome("soak", seed=1)
    run(outcome, Sizes(seconds=1.5, rate=20, accounts=2, verdict=False))
    assert outcome.losses == []
    assert int(outcome.figures["pieces of work"]) > 30


def test_a_list_that_has_a_number_left_is_no_stray_file_and_a_file_of_nobody_is() -> None:
    outcome = Outcome("soak", seed=1)
    with serving() as server:
        (key,) = new_keys(server.data, 1)
        with Client(server.address, key) as client:
            kind = {"Content-Type": "application/json"}
            assert client.ask("POST", "/suppressions", b'{"phones": ["12015550123"]}', kind).status == 200
            soak = Soak(server, [Account(key)], outcome, Maker())
            check_disk(soak)
            assert outcome.losses == []
            (server.data / "files" / "stray.parquet").touch()
            check_disk(soak)
    assert outcome.losses == ["on disk 1 files are too many and 0 missing: ['stray.parquet']"]
