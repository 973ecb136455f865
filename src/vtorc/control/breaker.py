"""Notices when many shards lose their primaries at once, and announces what those have in common.

It holds automatic replacements back only if the operator has asked for that. Each replacement has evidence of its own,
because the replicas of its shard have stopped receiving. Operators should read one sentence about it rather than five
hundred.
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

MIN_LOSSES = 5
"""Least number of shards that make a storm."""

MIN_SHARE = 0.02
"""Least share of all shards that makes a storm."""

LOSS_WINDOW = 30.0
"""Seconds within which losses belong to one storm."""

ANNOUNCE_AFTER = 2.0
"""Seconds from the loss that makes a storm until its announcement, in which its size and what it shares
become known.
"""

SETTLED_AFTER = 10.0
"""Seconds without another loss after which a storm is over if all its losses are settled."""

END_AFTER = 60.0
"""Seconds without any news after which a storm is over, whatever some shards still wait for.

A storm that holds replacements back goes on.
"""

HOLD_NOTHING = 100
"""Percent of the shards that losses never exceed."""

_CHECK_EVERY = 0.25
"""Seconds between two looks at a storm, which each judgement of a shard may bring about."""


class _LossState(enum.Enum):
    LOST = "lost"
    REPLACED = "replaced"
    BACK = "back"


@dataclass(slots=True, kw_only=True)
class _Loss:
    """One shard that lost its primary."""

    shard: ShardId
    alias: TabletAlias | None
    host: str
    seen_at: float
    """Seconds on the clock."""
    confirmed: bool
    rule: Rule
    """The rule of the latest decision about it."""
    last_attempt: str = ""
    """How the last attempt to replace the primary ended; empty if none ended, or if it succeeded."""
    state: _LossState = _LossState.LOST
    is_closed: bool = False
    """Whether the end of its storm was announced."""

    @property
    def is_settled(self) -> bool:
        """Whether nothing more is expected to happen by itself."""
        return self.state is not _LossState.LOST or bool(self.last_attempt) or not self.rule.may_pass

    @property
    def reason(self) -> str:
        """Why the shard is still without a primary, in few words that equal losses share."""
        return self.last_attempt or self.rule.value


@dataclass(slots=True, kw_only=True)
class _Storm:
    """Losses that belong together: those seen since `since` that belong to no earlier storm."""

    began_at: float
    since: float
    news_at: float
    """When a loss was last seen, changed or ended."""
    announced: int = 0
    """How many losses the last announcement counted; 0 before the first."""
    confirmed: bool = False
    holds: bool = False
    """Whether replacements are held back."""


class Breaker:
    """Watches the losses of all shards of one vtorc.

    `hold_above` returns percent of the shards; with HOLD_NOTHING no replacement is held back.
    """

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
        self._next_check_at = 0.0

    # --- what shard loops report

    def note_judgement(self, judgement: Judgement) -> None:
        """Take note of the state of a shard."""
        shard = judgement.view.shard
        decision = next((each for each in judgement.decisions if is_loss(each.finding)), None)
        loss = self._losses.get(shard)
        if decision is None:
            if loss is not None and loss.state is _LossState.LOST:
                self._note_end(loss, judgement)
        elif loss is None or loss.state is not _LossState.LOST:
            self._note_loss(judgement, decision)
        else:
            self._note_change(loss, decision)
            if self._storm is None and self._is_above():  # the operator has lowered the share
                self._begin_storm()
        if self._storm is not None and self._now() >= self._next_check_at:
            self._check_storm()

    def note_recovery(self, record: RecoveryRecord) -> None:
        """Take note of how a recovery ended."""
        loss = self._losses.get(record.shard)
        if loss is not None and record.recovery.replaces_primary and record.outcome.was_attempt:
            rule = record.rule.value if record.rule else ""
            has_failed = record.outcome is not Outcome.SUCCEEDED
            loss.last_attempt = ": ".join(filter(None, (record.outcome.value, rule))) if has_failed else ""

    def forget(self, shard: ShardId) -> None:
        """Forget a shard that is gone."""
        self._losses.pop(shard, None)

    def reason_to_hold(self, recovery: Recovery) -> str:
        """Return why a recovery must not begin, as a part of a sentence; empty if it may."""
        if not recovery.replaces_primary or not self._is_above():
            return ""
        return (
            f"held back until an operator decides: {len(self._held())} of {self._shards()} shards lost their primary, "
            f"more than {self._hold_above()} % (hold-replacements-above)"
        )

    # --- what happens to one shard

    def _note_loss(self, judgement: Judgement, decision: Decision) -> None:
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

    def _note_change(self, loss: _Loss, decision: Decision) -> None:
        confirmed = loss.confirmed or _is_confirmed(decision.finding)
        if (
            self._storm is not None
            and not loss.last_attempt
            and (loss.rule, loss.confirmed) != (decision.rule, confirmed)
        ):
            self._storm.news_at = self._now()
        loss.rule, loss.confirmed = decision.rule, confirmed

    def _note_end(self, loss: _Loss, judgement: Judgement) -> None:
        primary = judgement.view.primary
        if primary is None or not primary.is_current:
            return
        loss.state = _LossState.BACK if primary.alias == loss.alias else _LossState.REPLACED
        if self._storm is not None:
            self._storm.news_at = self._now()

    # --- what happens to the fleet

    def _least(self) -> int:
        return max(MIN_LOSSES, math.ceil(MIN_SHARE * self._shards()))

    def _affected(self) -> list[_Loss]:
        """Return the losses of the present storm, or of one that may begin.

        Losses of an earlier storm are left out, and so are primaries that came back.
        """
        since = self._storm.since if self._storm is not None else self._now() - LOSS_WINDOW
        return [
            loss
            for loss in self._losses.values()
            if not loss.is_closed and loss.seen_at >= since and loss.state is not _LossState.BACK
        ]

    def _held(self) -> list[_Loss]:
        """Return the losses that count for holding back: all present ones however old, and those replaced just now."""
        recent = self._now() - LOSS_WINDOW
        return [
            loss
            for loss in self._losses.values()
            if loss.state is _LossState.LOST or (loss.state is _LossState.REPLACED and loss.seen_at >= recent)
        ]

    def _is_above(self) -> bool:
        """Return whether so many primaries are lost that replacements are held back."""
        share = self._hold_above()
        if share >= HOLD_NOTHING:
            return False
        count = len(self._held())
        return count >= MIN_LOSSES and 100 * count > share * self._shards()

    def _begin_storm(self) -> None:
        now = self._now()
        self._storm = _Storm(began_at=now, since=now - LOSS_WINDOW, news_at=now)
        self._next_check_at = now
        self._drop_old(now - LOSS_WINDOW)

    def _drop_old(self, oldest: float) -> None:
        """Forget the losses from before `oldest` that have passed: a storm that holds would count them in."""
        self._losses = {
            shard: loss
            for shard, loss in self._losses.items()
            if loss.state is _LossState.LOST or loss.seen_at >= oldest
        }

    def _hold(self, storm: _Storm) -> None:
        """Take every present loss into the storm, because all of them are held back, and keep the storm going."""
        storm.news_at = self._now()
        for loss in self._held():
            loss.is_closed = False
            storm.since = min(storm.since, loss.seen_at)

    def _check_storm(self) -> None:
        storm = self._storm
        assert storm is not None
        now = self._now()
        self._next_check_at = now + _CHECK_EVERY
        if not storm.announced and now < storm.began_at + ANNOUNCE_AFTER:
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
        # The rest of a storm that passes is no news, even if more is known of it now: its end is announced soon.
        if many and (len(affected) >= 2 * storm.announced or (holds, confirmed) != (storm.holds, storm.confirmed)):
            self._announce(Announcement(self._begin_sentence(affected, holds=holds), Rule.BREAKER))
            storm.announced, storm.confirmed = len(affected), confirmed
        storm.holds = holds
        is_settled = now - storm.news_at >= SETTLED_AFTER and all(loss.is_settled for loss in affected)
        if is_settled or now - storm.news_at >= END_AFTER:
            self._end(storm)

    def _end(self, storm: _Storm) -> None:
        losses = [loss for loss in self._losses.values() if not loss.is_closed and loss.seen_at >= storm.since]
        self._announce(Announcement(_end_sentence(losses, self._now() - storm.began_at), Rule.BREAKER, is_end=True))
        for loss in losses:
            loss.is_closed = True
        self._storm = None

    def _begin_sentence(self, affected: Sequence[_Loss], *, holds: bool) -> str:
        first, last = min(loss.seen_at for loss in affected), max(loss.seen_at for loss in affected)
        text = (
            f"{len(affected):,} of {self._shards():,} shards lost their primary within "
            f"{max(1, round(last - first))} s, {_shared(affected)}; {_confirmations(affected)}"
        )
        if holds:
            return (
                f"{text}; no primary is replaced any more, as that is more than {self._hold_above()} %; check that "
                f"they are really lost, then raise hold-replacements-above and send SIGHUP"
            )
        return f"{text}; confirmed losses are replaced, the longest outage first"


def is_loss(finding: Finding) -> bool:
    """Return whether a finding says that the shard's primary is lost, or may be."""
    if finding.code is Code.PRIMARY_TABLET_DELETED and not finding.confirmed:
        return False  # each election looks like that for a moment
    recovery = finding.problem.recovery
    return finding.problem.primary is PrimaryDoubt.UNREACHED or (recovery is not None and recovery.replaces_primary)


def _is_confirmed(finding: Finding) -> bool:
    return finding.confirmed and finding.problem.primary is not PrimaryDoubt.UNREACHED


def _shared(losses: Sequence[_Loss]) -> str:
    """Return what the losses have in common: the host, the cell, or how many are in which cell."""
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
        return "no replica confirms it so far: their hosts are silent, or this vtorc is cut off"
    return f"replicas confirm {confirmed:,} of these losses, and the other primaries do not answer this vtorc"


def _end_sentence(losses: Sequence[_Loss], seconds: float) -> str:
    states = Counter(loss.state for loss in losses)
    text = (
        f"after {seconds:.0f} s, the {len(losses):,} shards that lost their primary at once: "
        f"{states[_LossState.REPLACED]:,} with a new primary, {states[_LossState.BACK]:,} with the old one back"
    )
    if not states[_LossState.LOST]:
        return text
    reasons = Counter(loss.reason for loss in losses if loss.state is _LossState.LOST)
    why = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items(), key=lambda e: (-e[1], e[0])))
    return f"{text}, {states[_LossState.LOST]:,} still without a primary ({why})"
