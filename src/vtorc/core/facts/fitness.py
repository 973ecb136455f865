"""The uses that a tablet's server is fit for: `fitness_of(ShardView, TabletView, policy) -> Fitness`.

A GTID set proves data, and an answer proves an acker, only on a server that is set up for it. A replica with filters
executed every transaction by its GTIDs, and 85 of 310 acknowledged rows were missing when it was promoted.

The table of `vtorc.core.facts.unfitness` says which facts speak against a tablet. Elections, planned moves, repairs and
the finding `TabletUnfit` all go by it. A fact that the tablet does not tell speaks against nothing.
"""

from dataclasses import dataclass

from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias
from vtorc.core.facts.unfitness import Fact, Subject, Use
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True)
class Flaw:
    """One fact that speaks against one tablet."""

    fact: Fact
    """Its row of the table."""
    why: str
    """The flaw that was seen, as the end of a sentence about the tablet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitness:
    """All that speaks against one tablet."""

    flaws: tuple[Flaw, ...] = ()
    """The facts that were seen, in the order of the table."""
    unknown: tuple[Fact, ...] = ()
    """The facts that its tablet does not tell; they speak against nothing."""
    twins: frozenset[TabletAlias] = frozenset()
    """Tablets that share an identity with it (server_uuid or server_id), so that neither can replicate from the
    other."""
    wait_count: int = 0
    """How many acknowledgements its MySQL would wait for (rpl_semi_sync_source_wait_for_replica_count); 0 if that is
    not known."""

    is_hidden: bool = False
    """Whether its tablet has told of nothing but a stalled disk, so that no fact of the table is known."""

    def may(self, use: Use) -> bool:
        """Whether it is used for that at all."""
        return not any(use in flaw.fact.traits.never for flaw in self.flaws)

    def is_last_choice(self, use: Use) -> bool:
        """Whether it is used for that only where no other tablet can be, or not at all."""
        return any(use in flaw.fact.traits.never | flaw.fact.traits.last for flaw in self.flaws)

    @property
    def feeds_own_writes(self) -> bool:
        """Whether others can fetch from it what it wrote as primary, whatever it does with what it receives."""
        return all(flaw.fact is Fact.NO_REPLICA_UPDATES for flaw in self.flaws if Use.FEED in flaw.fact.traits.never)

    def why_not(self, use: Use) -> str:
        """Return why it is not used for that, as the end of a sentence about it with the remedy; empty if it is."""
        return "; ".join(
            f"{flaw.why} ({flaw.fact.traits.remedy})" for flaw in self.flaws if use in flaw.fact.traits.never
        )


_JUDGES = tuple((fact, fact.traits.judge) for fact in Fact)

FIT = Fitness()
"""It is fit for all uses, as far as is known."""


def fitness(subject: Subject) -> Fitness:
    """Judge one server by the table; a pure function of its argument."""
    status = subject.status
    judged = [(fact, judge(subject)) for fact, judge in _JUDGES]
    return Fitness(
        flaws=tuple(Flaw(fact, why) for fact, why in judged if why),
        unknown=tuple(fact for fact, why in judged if why is None),
        twins=frozenset(
            alias
            for alias, peer in subject.peers.items()
            if (status.server_uuid and peer.server_uuid == status.server_uuid)
            or (status.server_id and peer.server_id == status.server_id)
        ),
        wait_count=status.semi_sync.wait_for_replica_count,
        is_hidden=bool(status.disk_stalled),
    )


def fitness_of(view: ShardView, tablet: TabletView, policy: DurabilityPolicy | None) -> Fitness:
    """Judge one tablet of a shard by its last answer that told more than a stalled disk. `policy` is None where no
    usable policy is known.

    A replica without a binary log was promoted once, as its disk was stalled at the last answer. An identity counts as
    shared only with a tablet that answers now: a host that was copied and replaced is no twin.
    """
    told = tablet.told
    if told is None:
        return FIT
    return fitness(
        Subject(
            status=told,
            peers={
                t.alias: t.told
                for t in view.tablets
                if t is not tablet and t.current_status is not None and t.told is not None
            },
            was_filtered=bool(tablet.memory.filtered_server),
            required_acks=policy.required_acks(tablet.member) if policy is not None else 0,
            others_that_may_ack=_others_that_may_ack(view, tablet, policy),
        )
    )


def _others_that_may_ack(view: ShardView, tablet: TabletView, policy: DurabilityPolicy | None) -> int | None:
    """Return how many tablets could acknowledge once the present primary is lost. It is None for that primary itself,
    and where its MySQL waits for no more than the policy asks.
    """
    member, primary = tablet.member, view.primary
    if policy is None or tablet is primary or tablet.told is None:
        return None
    if tablet.told.semi_sync.wait_for_replica_count <= policy.required_acks(member):
        return None
    return sum(policy.may_ack(member, t.member) for t in view.tablets if t is not primary)


def shard_fitness(view: ShardView, policy: DurabilityPolicy | None) -> dict[TabletAlias, Fitness]:
    """Judge all tablets of a shard."""
    return {tablet.alias: fitness_of(view, tablet, policy) for tablet in view.tablets}
