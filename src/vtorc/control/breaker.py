"""Notices when many shards lose their primaries at once, tells people what those have in common, and holds automatic
replacements back if the operator has asked for that.

Each replacement has evidence of its own already (no replica receives from the primary any more), so that many at once
are no reason to doubt each; but people must hear of it in one sentence rather than in five hundred.
"""

import enum
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vtorc.control.observer import Announcement
from vtorc.core.decision.decisions import Decision
from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code, PrimaryDoubt
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.rules import Rule
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.recovery.runner import Judgement

LEAST = 5
LEAST_SHARE = 0.02
"""So many shards, and this share of all, make a storm."""

WINDOW = 30.0
"""Seconds within which losses belong together."""

GATHER = 2.0
"""Seconds from the loss that makes a storm until it is told: by then it is seen how many they are, and what they share.
"""

QUIET = 10.0
"""Seconds without another loss after which a storm may be over."""

PATIENCE = 60.0
"""Seconds without any news after which it is over, whatever some shards still wait for; not while it holds."""

NEVER = 100
"""Percent that cannot be exceeded."""

_LOOK_EVERY = 0.25


class _State(enum.Enum):
    LOST = "lost"
    REPLACED = "replaced"
    BACK = "back"


@dataclass(slots=True, kw_only=True)
class _Loss:
    """One shard whose primary was lost; `tried` says how trying to replace it ended last, `told` that its storm is
    over.
    """

    shard: ShardId
    alias: TabletAlias | None
    host: str
    seen_at: float
    confirmed: bool
    rule: Rule
    tried: str = ""
    state: _State = _State.LOST
    told: bool = False

    @property
    def is_settled(self) -> bool:
        """Whether there is nothing left to be awaited."""
        return self.state is not _State.LOST or bool(self.tried) or not self.rule.may_pass

    @property
    def reason(self) -> str:
        """Why it is still without a primary, in a few words to be grouped by."""
        return self.tried or self.rule.value


@dataclass(slots=True, kw_only=True)
class _Storm:
    """Losses that belong together: those since `since` that were not told already."""

    began_at: float
    since: float
    news_at: float
    announced: int = 0
    confirmed: bool = False
    holds: bool = False


class Breaker:
    """Watches all shards of one vtorc; `hold_above` is in percent of the shards, 100 holds nothing back."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        shards: Callable[[], int],
        hold_above: Callable[[], int],
        announce: Callable[[Announcement], None],
    ) -> None:
        self._now = now
        self._shards = shards
        self._hold_above = hold_above
        self._announce = announce
        self._losses: dict[ShardId, _Loss] = {}
        self._storm: _Storm | None = None
        self._look_at = 0.0

    # --- what shard loops tell

    def saw(self, judgement: Judgement) -> None:
        """Take note of how a shard is."""
        shard = judgement.view.shard
        decision = next((each for each in judgement.decisions if is_loss(each.finding)), None)
        loss = self._losses.get(shard)
        if decision is None:
            if loss is not None and loss.state is _State.LOST:
                self._see_end(loss, judgement)
        elif loss is None or loss.state is not _State.LOST:
            self._see_loss(judgement, decision)
        else:
            self._see_more(loss, decision)
            if self._storm is None and self._is_above():  # as the operator has lowered the share
                self._begin_storm()
        if self._storm is not None and self._now() >= self._look_at:
            self._look()

    def ended(self, record: RecoveryRecord) -> None:
        """Take note of how a recovery ended."""
        loss = self._losses.get(record.shard)
        if loss is not None and record.recovery.replaces_primary and record.outcome.was_attempt:
            done = record.outcome is Outcome.SUCCEEDED
            loss.tried = (
                ""
                if done
                else ": ".join(filter(None, (record.outcome.value, record.rule.value if record.rule else "")))
            )

    def forget(self, shard: ShardId) -> None:
        """A shard is not there any more."""
        self._losses.pop(shard, None)

    def holds(self, recovery: Recovery) -> str:
        """Say why a recovery is not to be begun, as a part of a sentence; empty if it may be."""
        if not recovery.replaces_primary or not self._is_above():
            return ""
        return (
            f"held back for a person: {len(self._held())} of {self._shards()} shards lost their primary, "
            f"more than {self._hold_above()} % (hold-replacements-above)"
        )

    # --- what happens to one shard

    def _see_loss(self, judgement: Judgement, decision: Decision) -> None:
        alias = decision.finding.alias or judgement.view.shard_record.primary_alias
        primary = judgement.view.tablet(alias)
        now = self._now()
        self._losses[judgement.view.shard] = _Loss(
            shard=judgement.view.shard,
            alias=alias,
            host=primary.record.hostname if primary is not None else "",
            seen_at=now,
            confirmed=_is_confirmed(decision.finding),
            rule=decision.rule,
        )
        if self._storm is not None:
            self._storm.news_at = now
        elif len(self._affected()) >= self._least() or self._is_above():
            self._begin_storm()

    def _see_more(self, loss: _Loss, decision: Decision) -> None:
        confirmed = loss.confirmed or _is_confirmed(decision.finding)
        if self._storm is not None and not loss.tried and (loss.rule, loss.confirmed) != (decision.rule, confirmed):
            self._storm.news_at = self._now()
        loss.rule, loss.confirmed = decision.rule, confirmed

    def _see_end(self, loss: _Loss, judgement: Judgement) -> None:
        primary = judgement.view.primary
        if primary is None or not primary.is_current:
            return
        loss.state = _State.BACK if primary.alias == loss.alias else _State.REPLACED
        if self._storm is not None:
            self._storm.news_at = self._now()
        else:
            self._drop_old()

    def _drop_old(self) -> None:
        oldest = self._now() - WINDOW
        self._losses = {
            shard: loss for shard, loss in self._losses.items() if loss.state is _State.LOST or loss.seen_at >= oldest
        }

    # --- what happens to the fleet

    def _least(self) -> int:
        return max(LEAST, math.ceil(LEAST_SHARE * self._shards()))

    def _affected(self) -> list[_Loss]:
        """The shards of the storm, or of one that may begin: what was told already is another's, what came back does
        not count.
        """
        since = self._storm.since if self._storm is not None else self._now() - WINDOW
        return [
            loss
            for loss in self._losses.values()
            if not loss.told and loss.seen_at >= since and loss.state is not _State.BACK
        ]

    def _held(self) -> list[_Loss]:
        """What counts for holding back: all that are lost, however long already, and that were just now."""
        recent = self._now() - WINDOW
        return [
            loss
            for loss in self._losses.values()
            if loss.state is _State.LOST or (loss.state is _State.REPLACED and loss.seen_at >= recent)
        ]

    def _is_above(self) -> bool:
        """Whether so many are lost that replacements are held back."""
        share = self._hold_above()
        if share >= NEVER:
            return False
        count = len(self._held())
        return count >= LEAST and 100 * count > share * self._shards()

    def _begin_storm(self) -> None:
        now = self._now()
        self._storm = _Storm(began_at=now, since=now - WINDOW, news_at=now)
        self._look_at = now

    def _hold(self, storm: _Storm) -> None:
        """Take into the storm whatever is lost: all of it is held back. As long as it is, the storm goes on."""
        storm.news_at = self._now()
        if not storm.holds:
            for loss in self._held():
                loss.told = False
                storm.since = min(storm.since, loss.seen_at)

    def _look(self) -> None:
        storm = self._storm
        assert storm is not None
        now = self._now()
        self._look_at = now + _LOOK_EVERY
        if not storm.announced and now < storm.began_at + GATHER:
            return
        holds = self._is_above()
        if holds:
            self._hold(storm)
        affected = self._affected()
        many = holds or len(affected) >= self._least()
        if not storm.announced and not many:
            self._storm = None
            return
        confirmed = 2 * sum(loss.confirmed for loss in affected) >= len(affected)
        # What is left of a storm that passes is no news, whatever is known of it now: its end is told soon.
        if many and (len(affected) >= 2 * storm.announced or (holds, confirmed) != (storm.holds, storm.confirmed)):
            self._announce(Announcement(self._beginning(affected, holds=holds)))
            storm.announced, storm.confirmed = len(affected), confirmed
        storm.holds = holds
        is_settled = now - storm.news_at >= QUIET and all(loss.is_settled for loss in affected)
        if is_settled or now - storm.news_at >= PATIENCE:
            self._end(storm)

    def _end(self, storm: _Storm) -> None:
        losses = [loss for loss in self._losses.values() if not loss.told and loss.seen_at >= storm.since]
        self._announce(Announcement(_end_sentence(losses, self._now() - storm.began_at), is_end=True))
        for loss in losses:
            loss.told = True
        self._storm = None
        self._drop_old()

    def _beginning(self, affected: Sequence[_Loss], *, holds: bool) -> str:
        first, last = min(loss.seen_at for loss in affected), max(loss.seen_at for loss in affected)
        text = (
            f"{len(affected):,} of {self._shards():,} shards lost their primary within "
            f"{max(1, round(last - first))} s, {_shared(affected)}; {_confirmations(affected)}"
        )
        if holds:
            return (
                f"{text}; no primary is replaced any more, as that is more than {self._hold_above()} %: look whether "
                f"they are really lost, then raise hold-replacements-above and send SIGHUP"
            )
        return f"{text}; what is confirmed is replaced, the longest outage first"


def is_loss(finding: Finding) -> bool:
    """Whether a finding says that the shard's primary is lost, or that it may be."""
    if finding.code is Code.PRIMARY_TABLET_DELETED and not finding.confirmed:
        return False  # for a moment it looks like that after each election
    recovery = finding.problem.recovery
    return finding.problem.primary is PrimaryDoubt.UNREACHED or (recovery is not None and recovery.replaces_primary)


def _is_confirmed(finding: Finding) -> bool:
    return finding.confirmed and finding.problem.primary is not PrimaryDoubt.UNREACHED


def _shared(losses: Sequence[_Loss]) -> str:
    """Say what they have in common: the host, the cell, or how many are in which."""
    hosts = {loss.host for loss in losses}
    if len(hosts) == 1 and "" not in hosts:
        return f"all of them on host {hosts.pop()}"
    cells = Counter(loss.alias.cell if loss.alias is not None else "?" for loss in losses).most_common()
    if len(cells) == 1:
        return f"all of them in cell {cells[0][0]}"
    rest = sum(count for _, count in cells[3:])
    named = ", ".join(f"{count:,} in cell {cell}" for cell, count in cells[:3])
    return named + (f", {rest:,} in others" if rest else "")


def _confirmations(losses: Sequence[_Loss]) -> str:
    confirmed = sum(loss.confirmed for loss in losses)
    if confirmed == len(losses):
        return "their replicas confirm it"
    if not confirmed:
        return "no replica confirms any of it so far: their hosts are silent, or this vtorc is cut off"
    return f"replicas confirm it of {confirmed:,}, the others do not answer this vtorc"


def _end_sentence(losses: Sequence[_Loss], seconds: float) -> str:
    states = Counter(loss.state for loss in losses)
    text = (
        f"after {seconds:.0f} s, of the {len(losses):,} shards that lost their primary at once "
        f"{states[_State.REPLACED]:,} have another one, {states[_State.BACK]:,} have theirs back"
    )
    if not states[_State.LOST]:
        return text
    reasons = Counter(loss.reason for loss in losses if loss.state is _State.LOST)
    why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda e: (-e[1], e[0])))
    return f"{text}, {states[_State.LOST]:,} are still without ({why})"
