"""The answer to "what if the primary died now?": the election after its loss, held beforehand.

It is the very election that a failover holds, about a view as it would be a moment after the death:

* The primary's MySQL has ended, and its tablet manager says so. All else is as it was.
* Answers of different tablets are of different moments. So a replica that receives from the primary has received all
  that the primary had committed, and all of its writes that another such replica has.
* A replica that receives nothing keeps what it told. So does one with a SQL thread that is late or stopped: it has
  received more, and applied no more.
* The clocks of tablets are not known before they are stopped. They are taken to be right.

Which replicas have received the very last write is decided at the death, and so is which of equals applies it first.
Hence beside the winner there are others that may win.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set
from vtorc.core.election.candidates import CandidateSet, StoppedTablet
from vtorc.core.election.choice import Choice, Refusal, choose
from vtorc.core.election.last_primary import observed_term_of
from vtorc.core.election.preflight import preflight
from vtorc.core.election.stop_targets import tablets_to_stop, why_not_applied
from vtorc.core.election.survivability import Survivability, can_make_progress, survives
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import GtidSet
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.last_probe import ProbeFailure
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.status import ReplicationStatus
from vtorc.core.facts.unfitness import late_on_purpose
from vtorc.core.facts.views import ShardView, TabletView

KEEPS_UP_WITHIN = 1
"""Most seconds behind its source at which a replica is taken to apply all that it receives at once.

MySQL's own figure goes to and fro between 0 and 1 where nothing is late. Among such replicas the cell decides, and then
the name, so that the winner told does not change with every write.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """The answer to "what if the primary died now?" for one shard."""

    primary: TabletAlias
    """The primary."""
    winner: TabletAlias | None
    """The tablet that would become primary; None if none would."""
    others: tuple[TabletAlias, ...] = ()
    """Tablets that may win in its place, best first. One may have applied its relay log sooner, or the last write may
    have reached it alone.
    """
    rule: Rule | None = None
    """The rule by which none would; None if one would."""
    blocked_by: tuple[str, ...] = ()
    """Why none would, in sentences; empty if one would."""
    removed: Mapping[TabletAlias, str] = field(default_factory=dict)
    """The other tablets that cannot win, each with the end of a sentence why."""
    first: str = ""
    """The waits of the promotion, as far as they are known to take time, as a part of a sentence; empty without any."""
    doubts: tuple[str, ...] = ()
    """Why the promotion of the winner may fail, in sentences; empty if nothing speaks against it."""
    at_risk: tuple[str, ...] = ()
    """Other risks although a tablet would win, in sentences: writes that are lost, deaths of another kind."""
    losses: Survivability
    """The losses of one tablet or one cell that leave the shard without a primary or without writes, or may lose
    acknowledged ones."""

    @property
    def sentence(self) -> str:
        """All of it in one sentence."""
        return f"if {self.primary} died now, {self.outcome}"

    @property
    def outcome(self) -> str:
        """The outcome of the election, as the end of that sentence."""
        if self.winner is None:
            return f"no tablet would become primary: {'; '.join(self.blocked_by)}"
        others = f" (or {', '.join(map(str, self.others))})" if self.others else ""
        first = f"; {self.first}" if self.first else ""
        return f"{self.winner}{others} would become primary{first}"


def readiness(
    view: ShardView, policy: DurabilityPolicy | None, *, same_cell_only: bool, catch_up: float
) -> Readiness | None:
    """Return what would follow if the primary died now; None without a primary that answers, or without a policy.

    With `same_cell_only` the next primary has to be in the cell of this one. `catch_up` is how many seconds a relay log
    may take to be applied. A primary with a stalled disk answers nothing that counts.
    """
    primary = view.primary
    status = primary.current_status if primary is not None else None
    if policy is None or primary is None or status is None or status.disk_stalled:
        return None
    held = _ElectionAhead(view, policy, primary, same_cell_only=same_cell_only, catch_up=catch_up)
    return held.readiness()


def _first_to_apply(choice: Choice, candidates: CandidateSet) -> TabletAlias:
    """Return the holder that has applied its relay log first: the best of those that keep up, else the best of all."""
    ready = (a for a in choice.holders if not _to_apply(candidates.stopped[a]))
    return next(ready, choice.winner)


def _to_apply(stopped: StoppedTablet) -> GtidSet:
    return stopped.received.difference(stopped.executed)


class _ElectionAhead:
    """The election that would follow on the death of the primary."""

    def __init__(
        self,
        view: ShardView,
        policy: DurabilityPolicy,
        primary: TabletView,
        *,
        same_cell_only: bool,
        catch_up: float,
    ) -> None:
        self._view = view
        self._policy = policy
        self._primary = primary
        self._same_cell_only = same_cell_only
        self._catch_up = catch_up

    def readiness(self) -> Readiness:
        """Hold the election, and put together what follows from it."""
        candidates = self._candidates(ProbeFailure.MYSQL_DOWN)
        outcome = choose(candidates, self._policy)
        if isinstance(outcome, Choice):
            return self._ready(outcome, candidates)
        # A failover that is certain to be refused, is so before any tablet is stopped, for a reason of its own.
        view = _after_death(self._view, self._primary, ProbeFailure.MYSQL_DOWN)
        refusal = preflight(view, self._policy, same_cell_only=self._same_cell_only) or outcome
        return Readiness(
            primary=self._primary.alias,
            winner=None,
            rule=refusal.rule,
            blocked_by=(_reason(refusal),),
            removed=self._removed(refusal),
            losses=self._losses(candidates),
        )

    def _ready(self, choice: Choice, candidates: CandidateSet) -> Readiness:
        winner = _first_to_apply(choice, candidates)
        return Readiness(
            primary=self._primary.alias,
            winner=winner,
            others=tuple(alias for alias in choice.holders if alias != winner),
            removed=self._removed(choice),
            first=self._first(choice, winner),
            doubts=tuple(self._doubts(candidates, winner)),
            at_risk=tuple(self._risks(candidates)),
            losses=self._losses(candidates),
        )

    def _removed(self, outcome: Choice | Refusal) -> Mapping[TabletAlias, str]:
        return {alias: why for alias, why in outcome.removed.items() if alias != self._primary.alias}

    def _candidates(self, how: ProbeFailure) -> CandidateSet:
        """Return what the election would go by if the primary failed in that way."""
        view = _after_death(self._view, self._primary, how)
        targets = tablets_to_stop(view, self._policy)
        stopped = {
            alias: self._as_stopped(targets[alias], each)
            for alias, each in as_if_stopped(view).items()
            if alias in targets and not _is_stalled(targets[alias])
        }
        return candidate_set(view, self._policy, stopped, same_cell_only=self._same_cell_only)

    def _as_stopped(self, tablet: TabletView, stopped: StoppedTablet) -> StoppedTablet:
        """Add what a stop tells beside the transactions; a tablet without a source would be demoted."""
        replication = tablet.status.replication if tablet.status is not None else None
        if replication is None:
            return replace(stopped, was_primary=True)
        return replace(
            stopped,
            applier_stopped=why_not_applied(replication, within=self._catch_up),
        )

    def _first(self, choice: Choice, winner: TabletAlias) -> str:
        """Return what the promotion would wait for; empty if nothing is known to take time."""
        applier = winner if choice.source is None else choice.source
        tablet = self._view.tablet(applier)
        replication = tablet.status.replication if tablet is not None and tablet.status is not None else None
        steps = []
        if replication is not None and not _keeps_up(replication):
            left = replication.received.difference(replication.executed).count()
            lag = f" and is {replication.lag} s behind" if replication.lag else ""
            delay = f", which {late_on_purpose(replication.sql_delay)}," if replication.sql_delay else ""
            if left:
                steps.append(
                    f"first {applier}{delay} has {left} transactions of its relay log to apply{lag}, and gets "
                    f"{self._catch_up:g} s for that"
                )
        if choice.source is not None:
            steps.append(f"{winner} has to fetch from {choice.source} what it lacks")
        return "; ".join(steps)

    def _doubts(self, candidates: CandidateSet, winner: TabletAlias) -> Iterator[str]:
        """Yield why the promotion of the winner may fail."""
        for flaw in candidates.fitness_of(winner).flaws:
            yield f"{winner} would win for want of a better one: it {flaw.why} ({flaw.fact.traits.remedy})"
        member, followers = candidates.stopped[winner].member, [each.member for each in candidates.followers]
        progress = can_make_progress(self._policy, member, available=followers, fitness=candidates.fitness)
        if not progress.is_possible:
            yield f"{progress} for certain"
        if winner.cell in self._view.unreachable_cells:
            yield (
                f"the topology server of cell {winner.cell} does not answer, and {winner} has to write there that it "
                f"is primary"
            )

    def _risks(self, candidates: CandidateSet) -> Iterator[str]:
        """Yield what may be lost although a tablet would win."""
        if not candidates.protection(self._policy).has_semi_sync:
            yield (
                f"the policy {self._policy.name} asks for no acknowledgements, so writes that no replica has received "
                f"when {self._primary.alias} dies are lost"
            )
        term = observed_term_of(self._view, self._primary)
        if not candidates.exempt and (term is None or math.isinf(term.ack_timeout)):
            return
        silent = choose(self._candidates(ProbeFailure.TIMEOUT), self._policy)
        if isinstance(silent, Refusal):
            yield f"if {self._primary.alias} went silent with its host, no tablet would win: {_reason(silent)}"

    def _losses(self, candidates: CandidateSet) -> Survivability:
        """Return the losses that the shard does not survive, of the tablets that answer."""
        available = [self._primary.member, *(each.member for each in candidates.stopped.values())]
        survival = survives(
            self._policy,
            self._primary.member,
            members=candidates.members,
            available=available,
            fitness=candidates.fitness,
            held=candidates.held,
            same_cell_only=self._same_cell_only,
        )
        return Survivability(
            tablets=tuple(loss for loss in survival.tablets if not loss.outcome.is_survival),
            cells=tuple(loss for loss in survival.cells if not loss.outcome.is_survival),
        )


def _after_death(view: ShardView, primary: TabletView, how: ProbeFailure) -> ShardView:
    """Return the shard as it would be known a moment after the primary began to fail in that way."""
    died_at = max(t.last_probe.ended_at for t in view.tablets if t.last_probe.ended_at is not None)
    receivers = {t.alias for t in view.replicas_of(primary) if t.is_receiving}
    sent = _sent(view, primary, receivers)

    def after(tablet: TabletView) -> TabletView:
        if tablet.alias == primary.alias:
            probe = tablet.last_probe.failed(how, "", started=died_at, ended=died_at)
            return replace(tablet, last_probe=probe)
        if tablet.failure is ProbeFailure.MYSQL_DOWN:
            return replace(tablet, last_probe=replace(tablet.last_probe, ended_at=died_at))
        return _having_received(tablet, sent) if tablet.alias in receivers else tablet

    return replace(view, tablets=tuple(map(after, view.tablets)))


def _sent(view: ShardView, primary: TabletView, receivers: Collection[TabletAlias]) -> GtidSet:
    """Return what every receiver gets before the death: all that the primary told, and its writes since that others
    have received.
    """
    assert primary.status is not None
    uuid = primary.status.server_uuid
    seen = (t.status.received.only_uuid(uuid) for t in view.tablets if t.alias in receivers and t.status is not None)
    return primary.status.executed.union(*seen)


def _having_received(tablet: TabletView, sent: GtidSet) -> TabletView:
    """Return a replica that has received those transactions too, and applied them if its SQL thread keeps up."""
    status = tablet.status
    assert status is not None
    assert status.replication is not None
    received = status.received.union(sent)
    executed = received if _keeps_up(status.replication) else status.executed
    replication = replace(status.replication, received=received, executed=executed)
    told = replace(status, executed=executed, replication=replication)
    return replace(tablet, last_probe=replace(tablet.last_probe, status=told))


def _keeps_up(replication: ReplicationStatus) -> bool:
    lag = replication.lag
    return not replication.sql_delay and lag is not None and lag <= KEEPS_UP_WITHIN


def _is_stalled(tablet: TabletView) -> bool:
    """Whether its tablet manager finds its disk stalled: it would not stop in time, and what it holds is not told."""
    return tablet.status is not None and bool(tablet.status.disk_stalled)


def _reason(refusal: Refusal) -> str:
    return refusal.sentence.removeprefix("not promoting: ")
