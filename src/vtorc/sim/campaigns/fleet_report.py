"""The outcome of a whole fleet that lost many primaries at once: which were replaced, when, and why others were not."""

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vtorc.control.breaker import is_loss
from vtorc.core.facts.durability import Member, policy
from vtorc.core.facts.ids import ShardId, TabletAlias, TabletType
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import Outcome
from vtorc.sim.campaigns.mask import mask
from vtorc.sim.cluster.plan import ShardPlan
from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.cluster.world import SimShard, World
from vtorc.sim.engine.process import Life, ProcessState
from vtorc.sim.faults.catalogue import kind_of
from vtorc.sim.faults.fault import SILENT_BOUND, Fault

TURN = 0.5
"""Seconds that a turn may take on average where many wait for theirs."""

GRACE = 10.0
"""Seconds on top of that."""

_CONFIRMATION = re.compile(r"; (?:their replicas|replicas|no replica) confirms? .*?; ")
"""By chance more or less of a loss is confirmed when it is announced."""

_QUIET = (Outcome.SUCCEEDED, Outcome.GONE, Outcome.LOCK_HELD)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetReport:
    """The figures of a fleet that lost primaries; times in virtual seconds.

    `outages` are those of the shards that got another primary, from the loss until that one took writes, in the order
    of the replacements. `missed` counts shards that could have got one and did not, `turns` has the times for which
    recoveries waited for their turn. `others` has the rule, one sentence and the number of the shards that got no other
    primary.
    """

    shards: int
    lost: int
    able: int
    missed: int
    outages: tuple[float, ...]
    turns: tuple[float, ...]
    most: int
    limit: int
    others: tuple[tuple[str, str, int], ...]
    announcements: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return the report for printing."""
        lines = [
            f"{self.lost:,} of {self.shards:,} shards lost their primary, {self.able:,} of them can fail over, "
            f"{len(self.outages):,} did"
        ]
        if self.outages:
            lines.append(f"outage until writable again: {_spread(self.outages)}")
            waits = f"{len(self.turns):,} recoveries waited for their turn, the longest outage first"
            lines.append(f"{waits}: {_spread(self.turns)}" if self.turns else "no recovery waited for its turn")
        lines.append(f"at most {self.most} recoveries under way at once in one vtorc, of {self.limit} allowed")
        lines += [f"not replaced: {count:,} [{rule}], such as {text}" for rule, text, count in self.others]
        return [*lines, *(f"announced: {text}" for text in self.announcements)]

    def outcome(self) -> list[str]:
        """Return the part of the report that does not depend on exact times and numbers, for scenarios."""
        did = "not all that could fail over did" if self.missed else "all that could fail over did"
        lines = [f"{did}, {'and some waited for their turn' if self.turns else 'and none waited for its turn'}"]
        lines += sorted(f"not replaced [{rule}]: {_without_names(text)}" for rule, text, _ in self.others)
        announced = (_CONFIRMATION.sub("; ", _without_names(mask(text))) for text in self.announcements)
        return [*lines, *dict.fromkeys(f"announced: {text}" for text in announced)]


@dataclass(slots=True)
class _LostPrimary:
    shard: SimShard
    primary: SimTablet
    at: float
    able: bool
    """Whether the shard can fail over."""
    not_replaced: bool = False
    reason: tuple[str, str] | None = None
    """The rule and the sentence that say why it is not replaced, None if no vtorc says so."""


class FleetWatch:
    """Watches what faults cost a fleet; call it before and after each fault begins, and before each ends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._primaries: dict[ShardId, SimTablet] = {}
        self._lost: dict[ShardId, _LostPrimary] = {}
        self._lives: list[Life] = []

    def before(self) -> None:
        """Note the primaries, as a fault is about to begin."""
        self._primaries = {shard.id: tablet for shard in self._shards if (tablet := shard.primary) is not None}

    def after(self) -> None:
        """Note the lost primaries, as a fault has begun."""
        self._lives = [vtorc.process.life for vtorc in self._world.vtorcs if _runs(vtorc.process.state)]
        for shard in self._shards:
            primary = self._primaries.get(shard.id)
            if primary is not None and _is_out(primary) and shard.id not in self._lost:
                self._lost[shard.id] = _LostPrimary(shard, primary, self._world.now, can_fail_over(shard, primary))

    def ending(self, faults: Sequence[Fault]) -> None:
        """Check, as a fault is about to end, that each lost primary is replaced or has a reason why it is not."""
        for lost in self._lost.values():
            lost.not_replaced = lost.shard.primary in (None, lost.primary) or _is_out(
                lost.shard.primary or lost.primary
            )
            if lost.not_replaced and lost.reason is None:
                lost.reason = self._reason(lost)
        for text in self._broken_promises(faults):
            self._world.checker.violate("not-failed-over", text)

    def report(self) -> FleetReport:
        """Return the report of the whole run."""
        turns = [vtorc.turns for vtorc in self._world.vtorcs]
        first: dict[ShardId, float] = {}
        for done in sorted((each for one in turns for each in one.replacements), key=lambda each: each.writable_at):
            lost = self._lost.get(done.shard)
            if lost is not None and done.writable_at >= lost.at:
                first.setdefault(done.shard, done.writable_at - lost.at)
        reasons = [lost.reason for lost in self._lost.values() if lost.not_replaced and lost.reason is not None]
        counts = Counter(rule for rule, _ in reasons)
        sentences = dict(reversed(reasons))
        return FleetReport(
            shards=len(self._world.shards),
            lost=len(self._lost),
            able=sum(lost.able for lost in self._lost.values()),
            missed=sum(lost.able and lost.not_replaced for lost in self._lost.values()),
            outages=tuple(first.values()),
            turns=tuple(
                wait.seconds
                for one in turns
                for wait in one.waits
                if (lost := self._lost.get(wait.shard)) is not None and wait.ended_at >= lost.at
            ),
            most=max((one.most for one in turns), default=0),
            limit=self._world.settings.budget.recoveries,
            others=tuple((rule, sentences[rule], count) for rule, count in counts.most_common()),
            announcements=tuple(turns[0].announcements) if turns else (),
        )

    @property
    def _shards(self) -> Sequence[SimShard]:
        return list(self._world.shards.values())

    def _reason(self, lost: _LostPrimary) -> tuple[str, str] | None:
        """Return the rule and the sentence that say why a shard has no other primary, None if no vtorc says so."""
        shard = lost.shard.id
        for vtorc in self._world.vtorcs:
            for record in reversed(vtorc.records):
                if record.shard == shard and record.recovery.replaces_primary and record.outcome not in _QUIET:
                    return record.rule.value if record.rule else record.outcome.value, mask(record.sentence)
            for decision in vtorc.decisions(shard):
                if is_loss(decision.finding) and decision.rule is not Rule.ACT:
                    return decision.rule.value, mask(decision.sentence)
        return None

    def _broken_promises(self, faults: Sequence[Fault]) -> Iterator[str]:
        """Yield the shards that could fail over and did not, and those that did not without a reason.

        There are none where that cannot be judged: after several faults, after short ones, or without a vtorc.
        """
        if len(faults) != 1 or not kind_of(faults[0]).cost.fleet_judged:
            return
        if not any(life.alive for life in self._lives):
            return
        limit = self._world.settings.budget.recoveries
        if faults[0].lasts < SILENT_BOUND + TURN * math.ceil(len(self._lost) / limit) + GRACE:
            return
        for lost in self._lost.values():
            if lost.not_replaced and lost.able:
                rule, text = lost.reason or ("no rule", "no vtorc says why")
                yield f"{lost.shard.id} can fail over and did not [{rule}]: {text}"
            elif lost.not_replaced and lost.reason is None:
                yield f"{lost.shard.id} did not fail over, and no vtorc says why"


def can_fail_over(shard: SimShard, primary: SimTablet) -> bool:
    """Return whether a shard can do without the primary and the other tablets that are out.

    Those could not have acknowledged a write by themselves; or, if writes need no acknowledgement, most tablets are
    left. One of the left ones may be promoted, and has ackers.
    """
    out = {tablet.config.alias for tablet in shard.tablets if _is_out(tablet)}
    return _can_do_without(shard.plan, primary.config.alias, out)


def _can_do_without(plan: ShardPlan, primary: TabletAlias, out: set[TabletAlias]) -> bool:
    rule = policy(plan.durability)
    members = {each.alias: Member(each.alias, each.type) for each in plan.tablets}
    old = members[primary]
    unreached = [members[alias] for alias in out if alias != primary]
    others = [each for each in members.values() if each is not old and each.type is TabletType.REPLICA]
    if not rule.required_acks(old) and 0 < len(others) <= 2 * sum(each in others for each in unreached):
        return False  # half of them may be on the other side of a cut, with a primary that nothing stops
    if rule.required_acks(old) and sum(rule.may_ack(old, each) for each in unreached) >= rule.required_acks(old):
        return False
    left = [member for alias, member in members.items() if alias not in out]
    return any(
        each.type is TabletType.REPLICA
        and sum(rule.may_ack(each, other) for other in left if other is not each) >= rule.required_acks(each)
        for each in left
    )


def _is_out(tablet: SimTablet) -> bool:
    return not (tablet.host.up and _runs(tablet.process.state) and _runs(tablet.mysqld.process.state))


def _runs(state: ProcessState) -> bool:
    return state is not ProcessState.STOPPED


def _without_names(text: str) -> str:
    text = re.sub(r"\b\w+-\d{10}\b", "TABLET", text)
    text = re.sub(r"\b\w+/[0-9a-f]*-?[0-9a-f]*(?=:)", "SHARD", text)
    return re.sub(r"(?<![\w-])\d[\d,]*(?! %)\b", "N", text)


def _spread(values: Sequence[float]) -> str:
    ordered = sorted(values)
    shown = [f"p{share} {ordered[math.ceil(share / 100 * len(ordered)) - 1]:.1f} s" for share in (50, 90, 99)]
    return ", ".join([*shown, f"max {ordered[-1]:.1f} s"])
