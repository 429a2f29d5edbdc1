"""Whose upload is next in the engine: few at once, few waiting, fair among accounts; and what becomes of the others."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from audiences import clock
from audiences.creation import Creation
from audiences.engine import Engine, places_at_once
from audiences.errors import EngineFull, NotReady
from audiences.keys import Keys
from audiences.parts import Parts, opened_catalog
from audiences.settings import GIB, MIB, Settings
from audiences.turns import LARGE_BYTES, LATELY, Line, Turn, Turns
from audiences.watch import Metrics
from conftest import settings_in
from process import serving
from support import Service, free_port, remade, started, until

SMALL, LARGE = 1000, LARGE_BYTES + 1
CSV = "phone1\n442079832100\n"


@dataclass(eq=False, repr=False)
class Job:
    """Work that takes until it is let go, and whoever sent it."""

    turn: Turn
    name: str = ""
    done: asyncio.Event = field(default_factory=asyncio.Event)
    fails: bool = False
    task: asyncio.Task[None] = field(init=False)

    @property
    def line(self) -> Line:
        """What it has to line up with."""
        return self.turn.account, self.turn.size > LARGE_BYTES


class Desk:
    """Jobs on turns; `begun` are those that got a place, in this order."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.begun: list[Job] = []

    def send(self, account: int, size: int = SMALL, name: str = "") -> Job:
        """A new job."""
        job = Job(Turn(account, size), name)
        job.task = asyncio.get_running_loop().create_task(self.carry_out(job))
        job.task.add_done_callback(lambda task: task.cancelled() or task.exception())  # or asyncio logs it much later
        return job

    async def carry_out(self, job: Job) -> None:
        async with self.turns.place(job.turn):
            self.begun.append(job)
            await job.done.wait()
            if job.fails:
                raise RuntimeError("the work failed")

    @property
    def names(self) -> str:
        return "".join(job.name for job in self.begun)

    async def finish_all(self) -> None:
        """Lets everybody have a turn, one after the other."""
        ended = 0
        while ended < len(self.begun):
            self.begun[ended].done.set()
            await settled()
            ended += 1


@asynccontextmanager
async def desk(
    places: int, queue_length: int = 32, seconds: Callable[[], float] = time.monotonic
) -> AsyncIterator[Desk]:
    """A desk; whoever is still there at the end is let go."""
    made = Desk(Turns(places, queue_length, Metrics(), seconds))
    yield made
    await made.finish_all()
    assert made.turns.running == []
    assert made.turns.waiting == []
    assert made.turns.lines == []


async def settled() -> None:
    """Returns when everybody has come as far as they can."""
    for _ in range(6):
        await asyncio.sleep(0)


def run(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Runs it in a loop of its own."""
    asyncio.run(story())


def test_the_backlog_of_one_account_delays_another_by_one_turn_and_no_more() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            for _ in range(10):
                made.send(account=1, name="a")
            made.send(account=2, name="b")
            made.send(account=2, name="b")
            made.send(account=3, name="c")
            await settled()
            await made.finish_all()
            assert made.names == "a" + "abc" + "ab" + "a" * 7

    run(story)


def test_within_an_account_who_came_first_is_served_first() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            for name in "12345":
                made.send(account=1, name=name)
            await settled()
            await made.finish_all()
            assert made.names == "12345"

    run(story)


def test_the_last_place_is_never_a_large_upload_s_and_a_large_one_holds_up_no_small_one() -> None:
    async def story() -> None:
        async with desk(places=3) as made:
            for name in "LMN":
                made.send(account=1, size=LARGE, name=name)
            await settled()
            assert made.names == "LM"

            small = made.send(account=1, name="s")
            await settled()
            assert made.names == "LMs"  # past the large one before it
            small.done.set()
            made.send(account=2, name="t")
            await settled()
            assert made.names == "LMst"

    run(story)


def test_with_one_place_large_uploads_have_their_turn_too() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            made.send(account=1, size=LARGE, name="L")
            await settled()
            assert made.names == "L"

    run(story)


def test_small_uploads_without_end_do_not_keep_a_large_one_waiting() -> None:
    """Not even those of its own account together with large ones of another."""

    async def story() -> None:
        async with desk(places=2) as made:
            made.send(account=2, size=LARGE, name="x")
            made.send(account=2, size=LARGE, name="x")
            await settled()
            made.send(account=1, size=LARGE, name="L")
            for served in range(12):
                if "L" in made.names:
                    break
                made.send(account=1, name="s")
                made.send(account=1, name="s")
                made.send(account=2, size=LARGE, name="x")
                await settled()
                made.begun[served].done.set()
                await settled()
            assert "L" in made.names

    run(story)


def test_a_full_queue_refuses_and_says_in_how_many_seconds_it_will_have_been_worked_off() -> None:
    """By how long works of late took; those that run count with what they took until now."""
    now = [0.0]

    async def story() -> None:
        async with desk(places=2, queue_length=4, seconds=lambda: now[0]) as made:
            for _ in range(LATELY):
                job = made.send(account=1)
                await settled()
                now[0] += 6
                job.done.set()
                await settled()
            for account in range(1, 7):
                made.send(account)
            await settled()
            now[0] += 6

            refused = made.send(account=7)
            await settled()
            error = refused.task.exception()
            assert isinstance(error, EngineFull)
            assert (error.status, error.code) == (503, "engine_full")
            assert error.headers == {"Retry-After": "12"}  # four wait, and a place comes free every three seconds
            assert "again in 12 seconds" in error.message

            now[0] += 10_000
            late = made.send(account=8)
            await settled()
            told = late.task.exception()
            assert isinstance(told, EngineFull)
            assert told.headers == {"Retry-After": "60"}

    run(story)


def test_a_full_queue_that_moves_fast_is_asked_again_after_a_second() -> None:
    async def story() -> None:
        async with desk(places=1, queue_length=1, seconds=lambda: 0.0) as made:
            for account in range(3):
                last = made.send(account)
            await settled()
            error = last.task.exception()
            assert isinstance(error, EngineFull)
            assert error.headers == {"Retry-After": "1"}

    run(story)


def test_whoever_fills_the_queue_gives_way_to_others_with_what_came_last() -> None:
    async def story() -> None:
        async with desk(places=1, queue_length=4) as made:
            jobs = [made.send(account=1, name=name) for name in "abcde"]
            await settled()
            other = made.send(account=2, name="x")
            await settled()

            assert [job.name for job in jobs if job.task.done()] == ["e"]
            assert isinstance(jobs[-1].task.exception(), EngineFull)
            assert not other.task.done()
            more = made.send(account=1, name="f")
            await settled()
            assert isinstance(more.task.exception(), EngineFull)
            await made.finish_all()
            assert made.names == "abxcd"

    run(story)


def test_two_accounts_do_not_push_each_other_out_in_turn() -> None:
    """Where one more would only swap their numbers, it is the one that comes who is refused."""

    async def story() -> None:
        async with desk(places=1, queue_length=3) as made:
            kept = [made.send(account) for account in (1, 1, 1, 2)]
            await settled()
            assert [waiter.turn.account for waiter in made.turns.waiting] == [1, 1, 2]
            refused = made.send(account=2)
            await settled()
            assert isinstance(refused.task.exception(), EngineFull)
            assert not any(job.task.done() for job in kept)

    run(story)


def test_before_a_file_is_sent_its_client_is_told_what_it_would_be_told_after() -> None:
    async def story() -> None:
        async with desk(places=2, queue_length=1) as made:
            made.turns.refuse_if_full(Turn(1))
            for _ in range(2):
                made.send(account=1, size=LARGE)
            await settled()
            with pytest.raises(EngineFull):
                made.turns.refuse_if_full(Turn(1, LARGE))
            made.turns.refuse_if_full(Turn(1, SMALL))  # there is a place for it

            for _ in range(2):
                made.send(account=1)
            await settled()
            with pytest.raises(EngineFull):
                made.turns.refuse_if_full(Turn(2))  # nobody waits with more than one

    run(story)


def test_a_client_that_leaves_the_queue_is_forgotten_at_once() -> None:
    async def story() -> None:
        async with desk(places=1, queue_length=1) as made:
            first, gone = made.send(account=1, name="a"), made.send(account=2, name="b")
            await settled()
            gone.task.cancel()
            await settled()
            assert gone.task.cancelled()
            made.send(account=3, name="c")
            await settled()
            first.done.set()
            await settled()
            assert made.names == "ac"

    run(story)


def test_a_client_that_leaves_in_the_moment_of_its_turn_passes_the_place_on() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            first, gone, last = (made.send(account, name=name) for account, name in ((1, "a"), (2, "b"), (3, "c")))
            await settled()
            first.done.set()
            for _ in range(6):
                if made.turns.running[0].turn == gone.turn:
                    gone.task.cancel()
                    break
                await asyncio.sleep(0)
            await settled()
            assert made.names == "ac"
            assert not last.task.done()

    run(story)


def test_a_client_that_leaves_while_it_is_pushed_out_is_gone_like_any_other() -> None:
    async def story() -> None:
        async with desk(places=1, queue_length=2) as made:
            jobs = [made.send(account=1) for _ in range(3)]
            await settled()
            waiter = made.turns.waiting[-1]
            made.turns.line_up(Turn(2))
            assert waiter.refusal is not None
            jobs[-1].task.cancel()
            await settled()
            assert jobs[-1].task.cancelled()
            made.turns.give_up(made.turns.waiting[-1])

    run(story)


def test_work_that_fails_frees_its_place() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            first = made.send(account=1, name="a")
            made.send(account=1, name="b")
            await settled()
            first.fails = True
            first.done.set()
            await settled()
            assert isinstance(first.task.exception(), RuntimeError)
            assert made.names == "ab"

    run(story)


def test_a_server_that_stops_hands_back_who_waits_and_lets_who_runs_end() -> None:
    async def story() -> None:
        async with desk(places=1) as made:
            first, second = made.send(account=1, name="a"), made.send(account=2, name="b")
            await settled()
            made.turns.hand_back()
            third = made.send(account=3)
            await settled()
            for job in (second, third):
                error = job.task.exception()
                assert isinstance(error, NotReady)
                assert error.headers == {"Retry-After": "5"}
            with pytest.raises(NotReady):
                made.turns.refuse_if_full(Turn(4))
            assert not first.task.done()

            first.done.set()
            await settled()
            made.send(account=5, name="e")  # its file came meanwhile, and there is a place
            await settled()
            assert made.names == "ae"

    run(story)


def test_what_runs_waits_and_was_refused_is_counted() -> None:
    async def story() -> None:
        metrics = Metrics()
        made = Desk(Turns(1, 2, metrics))
        for account in range(4):
            made.send(account)
        await settled()
        value = metrics.registry.get_sample_value
        assert value("audiences_engine_running") == 1
        assert value("audiences_engine_waiting") == 2
        assert value("audiences_engine_refused_total") == 1
        await made.finish_all()
        assert value("audiences_engine_running") == value("audiences_engine_waiting") == 0

    run(story)


ACCOUNTS, SIZES = st.integers(1, 4), st.sampled_from([SMALL, SMALL, LARGE])


@hypothesis_settings(max_examples=40, stateful_step_count=40, deadline=None)
class AnyOrder(RuleBasedStateMachine):
    """Requests that come, end, fail and go away in any order; what has to hold is checked after each step."""

    @initialize(places=st.integers(1, 4), queue_length=st.integers(1, 7))
    def open(self, places: int, queue_length: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.places, self.places_of_large, self.queue_length = places, max(1, places - 1), queue_length
        self.desk = Desk(Turns(places, queue_length, Metrics()))
        self.seen = 0
        self.running: list[Job] = []
        self.waiting: list[Job] = []  # in the order in which they came
        self.passed: dict[Line, Counter[Line]] = {}  # by line that waits: who had a place that it might have had

    def settle(self) -> None:
        """Lets everybody come as far as they can, and compares who got a place with the rules."""
        self.loop.run_until_complete(settled())
        begun = self.desk.begun[self.seen :]
        self.seen += len(begun)
        self.running = [job for job in self.running if not job.task.done()]
        self.waiting = [job for job in self.waiting if job in begun or not job.task.done()]
        for job in begun:
            self.begin(job)
        lines = {job.line for job in self.waiting}
        self.passed = {line: counts for line, counts in self.passed.items() if line in lines}

    def begin(self, job: Job) -> None:
        """A job got a place: the first of its line, and no line that waits was passed over by it twice."""
        mates = [other for other in self.waiting if other.line == job.line]
        assert not mates or mates[0] is job
        large_may = sum(other.turn.is_large for other in self.running) < self.places_of_large
        self.waiting = [other for other in self.waiting if other is not job]
        self.passed.pop(job.line, None)
        for line in {other.line for other in self.waiting} - {job.line}:
            if large_may or not line[1]:
                counts = self.passed.setdefault(line, Counter())
                counts[job.line] += 1
                assert counts[job.line] == 1, "passed over more than once round"
        if not job.task.done():
            self.running.append(job)

    @rule(account=ACCOUNTS, size=SIZES)
    def arrive(self, account: int, size: int) -> None:
        before = list(self.waiting)
        counts = Counter(job.turn.account for job in before)
        job = self.loop.run_until_complete(self.sent(account, size))
        self.waiting.append(job)
        self.settle()
        pushed = [other for other in before if other.task.done()]
        if job.task.done():  # refused: no other account has more waiting than it would have had
            assert isinstance(job.task.exception(), EngineFull)
            assert len(before) == self.queue_length
            assert counts[account] + 1 >= max(counts.values())
            assert pushed == []
        if pushed:  # the last of whoever has most, and still has no fewer than who came
            (other,) = pushed
            assert isinstance(other.task.exception(), EngineFull)
            theirs = [each for each in before if each.turn.account == other.turn.account]
            assert other is theirs[-1]
            assert len(theirs) == max(counts.values()) > counts[account] + 1

    @rule(crowd=st.lists(st.tuples(ACCOUNTS, SIZES), min_size=4, max_size=9))
    def arrive_together(self, crowd: list[tuple[int, int]]) -> None:
        for account, size in crowd:
            self.arrive(account, size)

    async def sent(self, account: int, size: int) -> Job:
        return self.desk.send(account, size)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100), fails=st.booleans())
    def end(self, which: int, fails: bool) -> None:  # noqa: FBT001 - drawn
        job = self.running[which % len(self.running)]
        job.fails = fails
        job.done.set()
        self.settle()
        assert (job.task.exception() is not None) == fails

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 100))
    def break_off(self, which: int) -> None:
        self.running[which % len(self.running)].task.cancel()
        self.settle()

    @precondition(lambda self: self.waiting)
    @rule(which=st.integers(0, 100))
    def go_away(self, which: int) -> None:
        self.waiting[which % len(self.waiting)].task.cancel()
        self.settle()

    @precondition(lambda self: self.running and self.waiting)
    @rule(which=st.integers(0, 100), ticks=st.integers(0, 3))
    def go_away_when_a_place_comes_free(self, which: int, ticks: int) -> None:
        job = self.waiting[which % len(self.waiting)]
        self.running[0].done.set()
        for _ in range(ticks):
            self.loop.run_until_complete(asyncio.sleep(0))
        job.task.cancel()
        # It may have had its turn without having begun.
        self.passed.pop(job.line, None)
        self.settle()

    @invariant()
    def few_run(self) -> None:
        assert len(self.running) == len(self.desk.turns.running) <= self.places
        assert sum(job.turn.is_large for job in self.running) <= self.places_of_large

    @invariant()
    def few_wait(self) -> None:
        assert [job.turn for job in self.waiting] == [waiter.turn for waiter in self.desk.turns.waiting]
        assert len(self.waiting) <= self.queue_length

    @invariant()
    def nobody_waits_for_a_place_that_is_free(self) -> None:
        if len(self.running) < self.places:
            assert all(job.turn.is_large for job in self.waiting)
            large = sum(job.turn.is_large for job in self.running)
            assert not self.waiting or large == self.places_of_large

    def teardown(self) -> None:
        """Whoever waits has a turn in the end."""
        if not hasattr(self, "loop"):
            return
        while self.running:
            self.end(0, fails=False)
        assert self.waiting == []
        assert self.desk.turns.lines == []
        self.loop.close()


TestAnyOrder = AnyOrder.TestCase


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """An engine with a single place."""
    folder = tmp_path_factory.mktemp("engine")
    with closing(Engine(Settings(data=folder, uploads_at_once=1, uploads_waiting=2), folder)) as made:
        yield made


def test_the_engine_returns_what_the_work_returns_and_raises_what_it_raises(opened: Engine) -> None:
    async def story() -> None:
        assert await opened.run(Turn(1), divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await opened.run(Turn(1), divmod, 7, 0)
        assert opened.turns.running == []

    run(story)
    run(story)  # in another event loop


def test_a_caller_that_is_cancelled_keeps_its_place_until_its_thread_is_done(opened: Engine) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(20)
        raise ValueError("nobody is left to hear it")

    async def story() -> None:
        first = asyncio.create_task(opened.run(Turn(1), work))
        assert await asyncio.to_thread(begun.wait, 20)
        second = asyncio.create_task(opened.run(Turn(2), int, "5"))
        for _ in range(3):
            first.cancel()
            await asyncio.sleep(0.02)
            assert not first.done()
            assert not second.done()
        may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert await second == 5

    run(story)


@pytest.mark.parametrize(
    ("memory", "cores", "places"),
    [(64 * MIB, 2, 2), (512 * MIB, 2, 2), (1 * GIB, 2, 4), (1 * GIB, 64, 4), (16 * GIB, 2, 4), (16 * GIB, 64, 64)],
)
def test_as_many_uploads_are_worked_on_as_memory_and_processors_are_good_for(
    memory: int, cores: int, places: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: cores)
    assert places_at_once(Settings(memory_limit=memory)) == places
    assert places_at_once(Settings(memory_limit=memory, uploads_at_once=7)) == 7


@dataclass
class Gate:
    """Uploads that got into the engine stay there until it opens."""

    inside: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opens: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[tuple[Service, Gate]]:
    """A server with one place in the engine and two in the queue."""
    gate = Gate()

    class Slow(Creation):
        def create(self, *arguments: Any, **named: Any) -> int:
            gate.inside.release()
            assert gate.opens.wait(30)
            return super().create(*arguments, **named)

    def slow(parts: Parts) -> Parts:
        return replace(parts, creation=remade(parts, Slow))

    with started(settings_in(tmp_path / "data", uploads_at_once=1, uploads_waiting=2), slow) as service:
        try:
            yield service, gate
        finally:
            gate.opens.set()


class Sending:
    """An upload, sent by a thread of its own."""

    def __init__(self, service: Service, account: int) -> None:
        self.answer: httpx.Response | None = None
        self.thread = threading.Thread(target=self.send, args=(service, account))
        self.thread.start()

    def send(self, service: Service, account: int) -> None:
        with service.client(account) as client:
            self.answer = client.post(CSV)

    def answered(self) -> httpx.Response:
        """The answer, once it is there."""
        self.thread.join(30)
        assert self.answer is not None
        return self.answer


def test_the_server_refuses_what_is_too_much_and_carries_out_what_waits(busy: tuple[Service, Gate]) -> None:
    service, gate = busy
    turns = service.parts.engine.turns
    one, two = service.account(), service.account()
    first = Sending(service, one)
    assert gate.inside.acquire(timeout=20)
    waiting = []
    for count in (1, 2):
        waiting.append(Sending(service, one))
        assert until(lambda count=count: len(turns.waiting) == count)  # type: ignore[misc]

    with service.client(one) as client:
        refused = client.post(CSV)
        assert refused.status_code == 503
        assert refused.json()["errors"][0]["code"] == "engine_full"
        assert 1 <= int(refused.headers["retry-after"]) <= 60

    other = Sending(service, two)  # gets the place of the last one of the account that has two
    assert until(lambda: waiting[1].answer is not None)
    assert waiting[1].answered().status_code == 503
    gate.opens.set()
    assert [sent.answered().status_code for sent in (first, waiting[0], other)] == [201, 201, 201]


def test_a_client_is_refused_before_it_has_sent_its_file(busy: tuple[Service, Gate]) -> None:
    service, gate = busy
    account = service.account()
    sent = [Sending(service, account) for _ in range(3)]
    assert gate.inside.acquire(timeout=20)
    assert until(lambda: len(service.parts.engine.turns.waiting) == 2)

    _, key = service.parts.keys.create(account, "test")
    for line in ("POST /audiences", "PUT /audiences/100000", "POST /suppressions"):
        head = f"{line} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Length: 3000000000\r\n"
        head += "Content-Type: multipart/form-data; boundary=b\r\nIdempotency-Key: k\r\n\r\n"
        address = service.url.removeprefix("http://").split(":")
        with socket.create_connection((address[0], int(address[1])), timeout=20) as connection:
            connection.sendall(head.encode())
            assert connection.recv(4096).startswith(b"HTTP/1.1 503 ")
    gate.opens.set()
    assert [each.answered().status_code for each in sent] == [201, 201, 201]


def test_a_request_that_was_refused_may_be_sent_again_with_its_key(busy: tuple[Service, Gate]) -> None:
    service, gate = busy
    sent = [Sending(service, service.account()) for _ in range(3)]
    assert gate.inside.acquire(timeout=20)
    assert until(lambda: len(service.parts.engine.turns.waiting) == 2)
    with service.client() as client:
        headers = {"Idempotency-Key": "once"}
        assert client.post(CSV, headers=headers).status_code == 503
        gate.opens.set()
        assert [each.answered().status_code for each in sent] == [201, 201, 201]
        assert client.post(CSV, headers=headers).status_code == 201


def metric(port: int, name: str) -> float:
    """What the server's metrics say."""
    lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))


@pytest.mark.embedded
def test_a_server_that_is_asked_to_stop_ends_what_runs_and_hands_back_what_waits(tmp_path: Path) -> None:
    with opened_catalog(settings_in(tmp_path)) as database:
        keys = Keys(database, clock.now)
        headers = {"Authorization": f"Bearer {keys.create(1, 'stop')[1]}"}
    rows = 400_000
    body = "phone1,n\n" + "".join(f"4479{row:08d},{row}\n" for row in range(rows))
    answers: list[httpx.Response] = []

    def send(url: str) -> None:
        form: Any = {"name": (None, "x"), "audience_file": ("x.csv", body)}
        answers.append(httpx.post(f"{url}/audiences", files=form, headers=headers, timeout=90))

    port = free_port()
    address = {"AUDIENCES_METRICS_ADDRESS": f"127.0.0.1:{port}"}
    with serving(tmp_path, AUDIENCES_UPLOADS_AT_ONCE="1", **address) as (url, process):
        clients = [threading.Thread(target=send, args=(url,)) for _ in range(6)]
        for client in clients:
            client.start()
        assert until(lambda: metric(port, "audiences_engine_waiting") >= 3)
        process.send_signal(signal.SIGTERM)
        for client in clients:
            client.join()
        process.wait(30)

    made = [answer for answer in answers if answer.status_code == 201]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(made) + len(refused) == 6
    assert made
    assert len(refused) >= 3
    assert {answer.json()["errors"][0]["code"] for answer in refused} == {"not_ready"}
    assert {answer.headers["retry-after"] for answer in refused} == {"5"}

    with serving(tmp_path) as (url, _):
        listed = httpx.get(f"{url}/audiences", headers=headers).json()["data"]
        assert [item["user_count"] for item in listed] == [rows] * len(made)
