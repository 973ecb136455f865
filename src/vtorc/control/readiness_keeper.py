"""Keeps the readiness of each shard fresh, with a bounded share of the processor.

A readiness costs as much as an election: with three tablets about 0.7 ms of processor, with ten about 2.5 ms. When a
cell is lost, hundreds of shards have news at once, and the loops of the shards need the processor themselves. So only a
few are worked out in each turn.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vtorc.control.own_errors import OwnErrors
from vtorc.core.facts.ids import ShardId
from vtorc.discovery.lateness import OnTimeClock
from vtorc.forms.readiness import ReadinessForm, readiness_form
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds

READINESS_EVERY = 30.0
"""Seconds after which the readiness of a shard is worked out again without news of it.

A pause that is over, or another setting, is no news of a shard.
"""

MOST_PER_TURN = 1
"""Most shards of which it is worked out in one turn."""


@dataclass(slots=True)
class _Known:
    """The readiness of one shard, with the view that it was judged by."""

    judgement: Judgement
    ready: ReadinessForm | None = None
    worked_out_at: float = -math.inf
    """In seconds on the clock; minus infinity before the first time."""


class ReadinessKeeper:
    """Works out readiness, the news first and then what was worked out longest ago."""

    def __init__(self, clock: OnTimeClock, bounds: Callable[[], Bounds], errors: OwnErrors) -> None:
        """Work out by the `bounds` of recoveries, which are asked again each time; mistakes go to `errors`."""
        self._clock = clock
        self._bounds = bounds
        self._errors = errors
        self._known: dict[ShardId, _Known] = {}
        """In the order in which they were worked out."""
        self._due: dict[ShardId, None] = {}
        """Shards with news, in the order in which these came."""

    def heard(self, judgement: Judgement, *, is_news: bool) -> None:
        """Take the latest judgement of a shard; news of it are worked out in one of the next turns."""
        shard = judgement.view.shard
        known = self._known.get(shard)
        if known is None:
            known = self._known[shard] = _Known(judgement)
        known.judgement = judgement
        if is_news or known.worked_out_at == -math.inf:
            self._due[shard] = None

    def forget(self, shard: ShardId) -> None:
        """Drop a shard that is gone."""
        self._known.pop(shard, None)
        self._due.pop(shard, None)

    def of(self, shard: ShardId) -> ReadinessForm | None:
        """Return what was worked out last; None before that, and once the primary does not answer any more."""
        known = self._known.get(shard)
        if known is None:
            return None
        primary = known.judgement.view.primary
        return known.ready if primary is not None and primary.is_current else None

    def turn(self) -> Iterator[ShardId | None]:
        """Work out a few; yields after each of them: the shard if its readiness has become another, else None."""
        now = self._clock.now()
        due = list(itertools.islice(self._due, MOST_PER_TURN))
        for shard, known in itertools.islice(self._known.items(), MOST_PER_TURN - len(due)):
            if now - known.worked_out_at >= READINESS_EVERY and shard not in due:
                due.append(shard)
        for shard in due:
            if shard in self._known:
                yield shard if self._work_out(shard, now) else None

    def _work_out(self, shard: ShardId, now: float) -> bool:
        """Work out one; returns whether it has become another."""
        known = self._known.pop(shard)
        self._known[shard] = known
        self._due.pop(shard, None)
        before, known.ready, known.worked_out_at = known.ready, None, now
        with self._errors.contained(shard, "readiness"):
            known.ready = readiness_form(known.judgement, self._bounds(), now)
        return known.ready != before
