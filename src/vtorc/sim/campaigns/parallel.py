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
    """Yield the result of `run` for each seed, in the order in which runs end; `run` must be picklable."""
    if processes == 1 or len(seeds) == 1:
        yield from map(run, seeds)
        return
    # "spawn", because a process that is forked off one with threads may inherit locks that they hold.
    pool = ProcessPoolExecutor(
        min(processes, len(seeds)), mp_context=multiprocessing.get_context("spawn"), initializer=_end_with_parent
    )
    rest = iter(seeds)
    # Few at a time, as a hundred thousand futures would cost more than they save.
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
    """End this process when its parent has ended.

    A process that waits for work does not notice that: a killed campaign left its processes behind.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def watch(sentinel: int) -> None:
        wait_for_any([sentinel])
        os._exit(1)

    threading.Thread(target=watch, args=(parent.sentinel,), name="end with parent", daemon=True).start()
