"""Tells what a reparent would do now, by the functions that carry it out; it takes no lock and changes nothing."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from vtorc.core.election.candidate_evidence import candidate_set
from vtorc.core.election.candidates import ACKING_TYPES, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.forced_promotion import DataLossEstimate
from vtorc.core.election.preflight import preflight
from vtorc.core.election.stop_targets import tablets_to_stop
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.records import TabletRecord
from vtorc.core.facts.rolled_back import rolled_back
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.desk.wording import ReparentWords
from vtorc.errors import TabletError
from vtorc.recovery.forced_promotion import data_loss_now
from vtorc.recovery.planned_choice import choose_as_planned, planned_argument
from vtorc.recovery.planned_demotion import acker_to_disconnect
from vtorc.recovery.session import RecoveryTools
from vtorc.recovery.stop import CLOCK_DEADLINE, as_if_stopped_now


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """The course of a reparent, as far as it can be told now."""

    to: TabletAlias | None = None
    """The tablet that would become primary; None if none can."""
    why_not: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Why the other tablets would not, each as the end of a sentence."""
    steps: tuple[str, ...] = ()
    """The steps, in order; empty if it is refused."""
    argument: str = ""
    """Why no acknowledged write would be missing; empty if it is refused."""
    write_gap: str = ""
    """How long clients could not write; empty if it is refused."""
    risk: str = ""
    """The writes that are lost, or may be; empty without any."""
    refusal: str | None = None
    """Why it cannot be done; None if it can."""
    data_loss: DataLossEstimate | None = None
    """The estimate of a forced promotion; None for any other."""


@dataclass(frozen=True, slots=True)
class OutlookMaker:
    """Tells what the reparents of one shard would do, by what is known of it now."""

    tools: RecoveryTools
    view: ShardView
    policy: DurabilityPolicy
    earlier_gap: float | None
    """Seconds for which the last reparent of the shard kept clients from writing; None if none is known."""

    async def planned(self, to: TabletAlias | None) -> Outlook:
        """Tell what moving the primary to `to`, or to the best replica if that is None, would do."""
        choice = await choose_as_planned(
            self.view, self.policy, to, self._clock, tolerable_lag=self.tools.tolerable_lag
        )
        if isinstance(choice, Refusal):
            return _refused(choice)
        winner = choice.winner
        words = self._words(winner.alias, choice.primary)
        acker = acker_to_disconnect(self.view, choice.primary, winner.alias)
        disconnected = acker.tablet.alias if acker is not None else None
        return Outlook(
            to=winner.alias,
            why_not={**choice.removed, **choice.behind},
            steps=words.planned_steps(self._to_repoint(winner.alias), disconnected),
            argument=planned_argument(choice.primary.alias, winner.alias),
            write_gap=words.planned_gap(winner, self.earlier_gap),
        )

    async def emergency(self) -> Outlook:
        """Tell what replacing the primary would do: which tablet the election would choose, as things are."""
        same_cell_only = self.tools.same_cell_only
        if refusal := preflight(self.view, self.policy, same_cell_only=same_cell_only):
            return _refused(refusal)
        stopped = await self._as_if_stopped()
        choice = choose(candidate_set(self.view, self.policy, stopped, same_cell_only=same_cell_only), self.policy)
        if isinstance(choice, Refusal):
            return _refused(choice)
        words = self._words(choice.winner)
        return Outlook(
            to=choice.winner,
            why_not={**_behind(stopped, choice), **choice.removed},
            steps=words.emergency_steps(choice.source, sorted(stopped), self._to_repoint(choice.winner)),
            argument=choice.argument.sentence,
            write_gap=words.emergency_gap(self.earlier_gap),
            risk=words.emergency_risk(self.policy),
        )

    def forced(self, named: TabletAlias) -> Outlook:
        """Tell what promoting the tablet that an operator names would do, and lose."""
        estimate = data_loss_now(self.view, self.policy, named)
        others = {tablet.alias: "was not named" for tablet in self.view.tablets if tablet.alias != named}
        if isinstance(estimate, Refusal):
            return Outlook(why_not={**others, named: "cannot be promoted"}, refusal=estimate.sentence)
        words = self._words(named)
        stopped = sorted(tablets_to_stop(self.view, self.policy))
        return Outlook(
            to=named,
            why_not=others,
            steps=words.forced_steps(stopped, self._to_repoint(named)),
            argument=f"An operator names {named}{self._overruled(named)}: {estimate.sentence}.",
            write_gap=words.emergency_gap(self.earlier_gap),
            risk="" if estimate.loses_nothing else estimate.sentence,
            data_loss=estimate,
        )

    def _overruled(self, named: TabletAlias) -> str:
        """Return that the operator overrules a hold, as a part of a sentence; empty if there is none."""
        why = self.view.holds.why_not_promoted(named)
        return f", although it {why}" if why else ""

    def _words(self, winner: TabletAlias, primary: TabletView | None = None) -> ReparentWords:
        return ReparentWords(
            primary=primary or self.view.primary, winner=winner, catch_up=self.tools.deadlines.catch_up
        )

    def _to_repoint(self, winner: TabletAlias) -> str:
        """Return the tablets that would be pointed at the new primary, as a list in words."""
        left_alone = {winner, *rolled_back(self.view)}
        return alias_list(
            tablet.alias
            for tablet in self.view.tablets
            if tablet.alias not in left_alone and tablet.is_current and tablet.record.type in ACKING_TYPES
        )

    async def _as_if_stopped(self) -> dict[TabletAlias, StoppedTablet]:
        """Return the tablets that would be stopped as if they were, with their clocks."""
        targets = tablets_to_stop(self.view, self.policy)
        clocks = await asyncio.gather(*(self._clock(tablet.record) for tablet in targets.values()))
        catch_up = self.tools.deadlines.catch_up
        return {
            alias: replace(each, clock=clock)
            for (alias, tablet), clock in zip(targets.items(), clocks, strict=True)
            if (each := as_if_stopped_now(tablet, catch_up=catch_up)) is not None
        }

    async def _clock(self, tablet: TabletRecord) -> int | None:
        try:
            async with self.tools.clock.timeout(CLOCK_DEADLINE):
                return await self.tools.tablets.wall_clock(tablet)
        except (TabletError, TimeoutError):
            return None


def _behind(stopped: Collection[TabletAlias], choice: Choice) -> dict[TabletAlias, str]:
    """Return why tablets that could win as well would not, each as the end of a sentence."""
    return {
        alias: f"comes after {choice.winner}, and would win if that did not apply its relay log soon"
        if alias in choice.holders
        else f"comes after {choice.winner}, and would win only if that failed"
        for alias in stopped
        if alias != choice.winner
    }


def _refused(refusal: Refusal) -> Outlook:
    return Outlook(why_not=refusal.removed, refusal=refusal.sentence)
