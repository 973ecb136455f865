"""Makes the audit entries: one for each request that acts, and few for many refusals of one kind to one client."""

import asyncio
import itertools
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from msgspec import structs

from vtorc.control.observer import AuditObserver
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.one_line import blanked
from vtorc.forms.audit import AuditForm, AuditResult
from vtorc.forms.frames import ProblemForm, RequestFrame
from vtorc.forms.times import rfc3339

FREE_REFUSALS = 10
"""Refusals of one kind to one client that have entries of their own, within `TOGETHER`; further ones are counted."""

TOGETHER = 60.0
"""Seconds from the first of these refusals until those that were counted become one entry."""

LOOK_EVERY = 10.0
"""Seconds between two looks for refusals whose time has come."""

MOST_CLIENTS = 1024
"""Kinds of refusals that are counted at a time."""

LONGEST_ARGUMENT = 200
"""Most characters of an argument in an entry."""

_Kind = tuple[str, str, str, str]


@dataclass(slots=True)
class _Refusals:
    """The refusals of one kind to one client."""

    since: float
    count: int = 0
    untold: AuditForm | None = None
    """The last one, with how many there were since the last entry; None if all have entries."""


class Auditor:
    """Tells an observer of what operators ask for."""

    def __init__(self, observer: AuditObserver, clock: Clock) -> None:
        self._observer = observer
        self._clock = clock
        self._numbers = itertools.count(1)
        self._refusals: OrderedDict[_Kind, _Refusals] = OrderedDict()

    def done(self, request: RequestFrame, shard: ShardId | None, sentence: str, recovery: str | None) -> None:
        """Tell that a request was carried out, or has begun as a recovery of that name."""
        result: AuditResult = "begun" if recovery is not None else "done"
        self._observer.audited(self._entry(request, shard, result, sentence, recovery))

    def failed(self, request: RequestFrame, shard: ShardId | None, sentence: str) -> None:
        """Tell that a request failed by a mistake of vtorc's own."""
        self._observer.audited(self._entry(request, shard, "failed", sentence))

    def refused(self, request: RequestFrame, shard: ShardId | None, problem: ProblemForm, *, unlisted: int = 0) -> None:
        """Tell that a request was refused; after several of one kind they are only counted.

        `unlisted` is how many others of any kind came too fast to be told.
        """
        self.tell_counted()
        sentence = f"{problem.what}: {problem.why}"
        if unlisted:
            sentence += f" ({unlisted} other requests were refused that came too fast to be listed)"
        entry = self._entry(request, shard, "refused", sentence)
        kind = (entry.actor, entry.origin, entry.action, problem.title)
        known = self._refusals.setdefault(kind, _Refusals(since=self._clock.now()))
        known.count += 1
        if known.count <= FREE_REFUSALS:
            self._observer.audited(entry)
        else:
            counted = known.untold.times if known.untold is not None else 0
            known.untold = structs.replace(entry, times=counted + 1)
        while len(self._refusals) > MOST_CLIENTS:
            _, oldest = self._refusals.popitem(last=False)
            self._tell(oldest)

    async def run(self) -> None:
        """Tell of the refusals that were counted when their time has come; of all of them when cancelled."""
        try:
            while True:
                await asyncio.sleep(LOOK_EVERY)
                self.tell_counted()
        finally:
            self.tell_counted(all_=True)

    def tell_counted(self, *, all_: bool = False) -> None:
        """Tell of the refusals that were counted, once their minute is over, or `all_` of them at the end."""
        now = self._clock.now()
        while self._refusals:
            kind, oldest = next(iter(self._refusals.items()))
            if not all_ and now - oldest.since < TOGETHER:
                return
            del self._refusals[kind]
            self._tell(oldest)

    def _tell(self, refusals: _Refusals) -> None:
        if refusals.untold is not None:
            self._observer.audited(refusals.untold)

    def _entry(
        self,
        request: RequestFrame,
        shard: ShardId | None,
        result: AuditResult,
        sentence: str,
        recovery: str | None = None,
    ) -> AuditForm:
        given, caller = request.arguments, request.caller
        wall = self._clock.wall()
        return AuditForm(
            id=f"{wall}-{next(self._numbers)}",
            at=rfc3339(wall),
            action=request.kind,
            shard=str(shard) if shard is not None else _text(given, "shard"),
            tablet=_text(given, "tablet") or _text(given, "to"),
            actor=caller.actor,
            means=caller.means,
            role=caller.role,
            origin=caller.origin,
            arguments={key: _short(value) for key, value in given.items() if key not in _TOLD_APART},
            reason=_text(given, "reason"),
            result=result,
            recovery=recovery,
            sentence=sentence,
        )


_TOLD_APART = frozenset({"shard", "tablet", "to", "reason"})


def _text(given: Mapping[str, object], key: str) -> str | None:
    value = given.get(key)
    return _cut(value) if isinstance(value, str) else None


def _short(value: object) -> str:
    return _cut(value if isinstance(value, str) else msgspec.json.encode(value).decode())


def _cut(text: str) -> str:
    """Return a text on one line, and not too long."""
    shown = blanked(text[: LONGEST_ARGUMENT + 1])
    return shown if len(shown) <= LONGEST_ARGUMENT else f"{shown[:LONGEST_ARGUMENT]}…"
