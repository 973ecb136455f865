"""The input of an election: the transactions of each stopped tablet, and all that was seen of the last primary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.facts.durability import DurabilityPolicy, Member, PromotionRule
from vtorc.core.facts.fitness import FIT, Fitness
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.unfitness import Use

ACKING_TYPES = frozenset({TabletType.PRIMARY, TabletType.REPLICA, TabletType.RDONLY})
"""Types of tablets with logs that count: no policy lets any other type acknowledge."""

UNKNOWN_PRIMARY = Member(TabletAlias("unknown", 0), TabletType.PRIMARY)
"""Stands for a last primary with a name that is not known. It is in no known cell, so that every other tablet may have
acknowledged its writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedTablet:
    """A tablet that vtorc has stopped, and the transactions that it holds."""

    member: Member
    """Its name and the type of its record."""
    server_uuid: str
    """UUID of its server; empty if it was not told."""
    executed: GtidSet
    """Transactions that it has committed."""
    received: GtidSet
    """Transactions that it has committed or holds in its relay log; contains `executed`."""
    source_uuid: str = ""
    """UUID of the server that it replicated from; empty if it had no source, or did not tell."""
    was_primary: bool = False
    """Whether it had no source, so that vtorc demoted it."""
    applier_stopped: str = ""
    """Why its relay log does not get applied; empty if it does."""
    was_standing: bool = False
    """Whether its SQL thread had stopped before vtorc came: by an operator, by an error, or as its MySQL started anew.
    Elections stop IO threads alone, so an earlier one leaves no such mark."""
    backup_running: bool = False
    """Whether a backup is being taken of it."""
    clock: int | None = None
    """Its wall clock as it was stopped, in nanoseconds since the Unix epoch; None if it could not be read."""

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.member.alias

    @property
    def has_applied(self) -> bool:
        """Whether its relay log held nothing that it had not committed."""
        return self.executed.contains(self.received)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """The shard at the moment of election; `vtorc.core.election.candidate_evidence` makes one from a shard view."""

    members: Sequence[Member]
    """All tablets of the shard, reached or not."""
    stopped: Mapping[TabletAlias, StoppedTablet]
    """The tablets that were stopped and read since the shard was locked."""
    primary: TabletAlias | None
    """The last known primary; None if not even its record is left, so that any unknown tablet may have been primary."""
    primary_uuids: frozenset[str] = frozenset()
    """UUIDs of servers under which acknowledged writes may have been made in the present term."""
    former_uuids: frozenset[str] = frozenset()
    """UUIDs of servers that can have been primary only before the last primary. Their tablets still have the record of
    one, or were gone while the last primary was seen at work.
    """
    primary_executed: GtidSet = EMPTY_GTID_SET
    """The transactions that the primary was last seen to have executed in this term. Unless it is empty, all that
    earlier terms acknowledged is in it."""
    primary_committed: GtidSet = EMPTY_GTID_SET
    """The transactions that the primary was seen to have committed while each commit waited for acknowledgements."""
    semi_sync: ObservedSemiSync = NOTHING_SEEN
    """The semi-sync that vtorc observed, as opposed to the one that the policy asks for."""
    lost_after_receipt: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """Transactions that stopped tablets had received and do not have any more."""
    rebuilt: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Tablets that answer and do not count as reached, each with the sentence that says why. The server that may have
    acknowledged under that alias is gone or was emptied.
    """
    rebuilt_stopped: Mapping[TabletAlias, StoppedTablet] = field(default_factory=dict)
    """Those of the rebuilt tablets that were stopped: they tell nothing of the past, and can follow a new primary."""
    rolled_back: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """Tablets whose servers went back in time, with the transactions of their own that they lost."""
    silent: frozenset[TabletAlias] = frozenset()
    """Tablets that acknowledged nothing since the primary was last seen at work, although the policy asks them to."""
    exempt: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Unreached tablets that cannot acknowledge now and provably hold no transaction that others lack, each with the
    sentence why."""
    unreadable: frozenset[TabletAlias] = frozenset()
    """Tablets with a record that cannot be read: they never win."""
    unseen_promotions: frozenset[TabletAlias] = frozenset()
    """Tablets that may have been promoted without vtorc knowing of it (`vtorc.core.election.unseen_promotions`)."""
    unreachable_cells: frozenset[str] = frozenset()
    """Cells with a topology server that does not answer: a tablet there could hardly write that it is primary."""
    never_read_cells: frozenset[str] = frozenset()
    """Cells with tablets that are not known at all."""
    purged: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    """Transactions that tablets no longer have in their binary logs, and so cannot give to others."""
    fitness: Mapping[TabletAlias, Fitness] = field(default_factory=dict)
    """The fitness of each tablet's server; one that is not in it is fit for all."""
    held: Mapping[TabletAlias, str] = field(default_factory=dict)
    """Tablets that an operator's hold forbids to promote, each with the end of a sentence that says so. They count as
    holders and ackers all the same."""
    wishes: Mapping[TabletAlias, PromotionRule] = field(default_factory=dict)
    """How much operators want tablets as primary, before what the policy says."""
    same_cell_only: bool = False
    """Whether only tablets in the primary's cell may win (prevent-cross-cell-failover)."""
    newest_term: int = 0
    """The latest known beginning of a term, in nanoseconds since the Unix epoch; 0 if none is known."""
    first_term: bool = False
    """Whether the shard never had a primary."""
    earlier_protection: DurabilityPolicy | None = None
    """The acknowledgements that the last primary was last seen to wait for, if they protect its writes more than the
    present policy does. None if the present policy says how they are protected.
    """

    def protection(self, policy: DurabilityPolicy) -> DurabilityPolicy:
        """Return by which policy the last primary's writes were acknowledged, `policy` being the present one."""
        return self.earlier_protection or policy

    @property
    def accounted_for(self) -> frozenset[TabletAlias]:
        """Tablets that were stopped, or do not have to be."""
        return frozenset(self.stopped) | self.exempt.keys()

    def why_not_reached(self, alias: TabletAlias) -> str:
        """Return why a tablet does not count as reached, as the end of a sentence about it."""
        return "was rebuilt" if alias in self.rebuilt else "was not reached"

    @property
    def primary_member(self) -> Member:
        """The last known primary, of type PRIMARY if its record is gone; `UNKNOWN_PRIMARY` if not even its name is
        known.
        """
        if self.primary is None:
            return UNKNOWN_PRIMARY
        gone = Member(self.primary, TabletType.PRIMARY)
        return next((member for member in self.members if member.alias == self.primary), gone)

    def fitness_of(self, alias: TabletAlias) -> Fitness:
        """Return the fitness of that tablet's server."""
        return self.fitness.get(alias, FIT)

    @property
    def unfit_ackers(self) -> dict[TabletAlias, str]:
        """The tablets that cannot acknowledge whatever the policy says, each with the end of a sentence why."""
        reasons = {alias: fitness.why_not(Use.ACKNOWLEDGE) for alias, fitness in sorted(self.fitness.items())}
        return {alias: why for alias, why in reasons.items() if why}

    @property
    def proving(self) -> dict[TabletAlias, StoppedTablet]:
        """Those tablets of the pool whose GTIDs prove that they have the data."""
        return {alias: each for alias, each in self.pool.items() if self.fitness_of(alias).may(Use.HOLD)}

    @property
    def pool(self) -> dict[TabletAlias, StoppedTablet]:
        """The stopped tablets that may hold acknowledged writes, in order of alias.

        They are those of types that acknowledge, and those that may have acknowledged although they should not now.
        """
        return {
            alias: stopped
            for alias, stopped in sorted(self.stopped.items())
            if stopped.member.type in ACKING_TYPES or alias in self.semi_sync.past_ackers
        }

    @property
    def followers(self) -> list[StoppedTablet]:
        """The stopped tablets that could acknowledge the writes of a new primary, unless they have more than it has.

        A shard whose primary was rebuilt under its alias could never be given another one, as only that tablet was left
        to acknowledge.
        """
        return [*self.pool.values(), *self.rebuilt_stopped.values()]

    @property
    def bystanders(self) -> dict[TabletAlias, StoppedTablet]:
        """The other stopped tablets, in order of alias: as far as was seen, none of them has acknowledged anything that
        the pool lacks.
        """
        return {alias: stopped for alias, stopped in sorted(self.stopped.items()) if alias not in self.pool}
