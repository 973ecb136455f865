"""Runs one function on many seeds, in several processes."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing.connection import wait as wait_for_any
from typing import TypeVar

_T = TypeVar("_T")


def in_parallel(run: Callable[[int], _T], seeds: Sequence[int], *, processes: int) -> Iterator[_T]:
    """Yield what `run` returns for each seed, in the order in which they end; `run` must be picklable."""
    if processes == 1 or len(seeds) == 1:
        yield from map(run, seeds)
        return
    # "spawn", because a process that is forked off one with threads may find their locks held.
    pool = ProcessPoolExecutor(
        min(processes, len(seeds)), mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    rest = iter(seeds)
    # Few at a time: a hundred thousand futures would cost more than they save.
    running: set[Future[_T]] = {pool.submit(run, seed) for seed in islice(rest, 3 * processes)}
    try:
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            running |= {pool.submit(run, seed) for seed in islice(rest, len(done))}
            for future in done:
                yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone: waiting for work, it would never be told (a campaign that
    was killed left its processes behind).
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait_for_any([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), name="end with parent", daemon=True).start()
