"""Work that is under way in threads while what it gave before is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

# Calls that are under way at once: what they do is parsing, and two cores are kept busy by it.
AHEAD = 2

Result = TypeVar("Result")


def ahead(calls: Iterable[Callable[[], Result]], waiting: int = 0) -> Iterator[Result]:
    """What the calls return, in their order, a few of them under way at once in threads; a single one needs none.

    Besides, so many more are asked for before they can begin: that is of use where to ask for one takes time itself.
    """
    coming = iter(calls)
    first = list(islice(coming, AHEAD))
    if len(first) < AHEAD:
        yield from (call() for call in first)
        return
    with ThreadPoolExecutor(AHEAD, "ahead") as threads:
        begun = deque(map(threads.submit, first))
        begun.extend(map(threads.submit, islice(coming, waiting)))
        try:
            while begun:
                yield begun.popleft().result()
                begun.extend(map(threads.submit, islice(coming, AHEAD + waiting - len(begun))))
        finally:
            threads.shutdown(cancel_futures=True)
