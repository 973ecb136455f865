"""The last judgement of a shard that is well, kept for as long as it holds: most answers only repeat the one before."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from vtorc.core.detection.analysis import may_change_with_time
from vtorc.discovery.watch import ShardWatch
from vtorc.recovery.runner import Judgement

LONGEST = 30.0
"""Seconds after which a shard without problems is judged anew whatever its tablets answer.

If `may_change_with_time` forgets a kind of problem that only has to last, that problem is found late at worst.
"""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A judgement without problems, and what it was made from."""

    revision: int
    """`ShardWatch.revision` at the time."""
    changes: int
    """`ShardWatch.changes` at the time."""
    basis: tuple[object, ...]
    """The other grounds of the judgement: the settings, and whether vtorc acts on the shard."""
    lasts: bool
    """Whether it stays the same until there are other answers, as time has no part in it."""
    made_at: float
    """When the problems were looked for, in seconds on the clock."""
    judgement: Judgement


class KeptJudgement:
    """Keeps the last judgement of one shard if it was without problems."""

    def __init__(self, watch: ShardWatch, now: Callable[[], float]) -> None:
        self._watch = watch
        self._now = now
        self._kept: _Kept | None = None

    def latest(
        self,
        judge: Callable[[], Judgement],
        *basis: object,
        remembers_problems: Callable[[], bool],
    ) -> Judgement:
        """Judge, or return the last judgement if it was without problems and nothing was heard since.

        Time alone makes no problem. If all tablets answered the same again, the judgement gets the new view. The
        problems are then looked for again only if time has a part in them. `basis` is all else that decides.
        `remembers_problems` says whether earlier ones are remembered, which are forgotten as time passes.
        """
        watch, known = self._watch, self._kept
        if known is not None and known.basis != basis:
            known = None
        if known is not None and known.revision == watch.revision:
            return known.judgement
        if known is not None and self._still_holds(known):
            judgement = replace(known.judgement, view=watch.view())
            self._kept = replace(known, revision=watch.revision, judgement=judgement)
            return judgement
        judgement = judge()
        self._kept = None
        if not judgement.decisions:
            lasts = not (remembers_problems() or may_change_with_time(judgement.view, judgement.policy))
            self._kept = _Kept(watch.revision, watch.changes, basis, lasts, self._now(), judgement)
        return judgement

    def _still_holds(self, known: _Kept) -> bool:
        return known.lasts and known.changes == self._watch.changes and self._now() - known.made_at < LONGEST
