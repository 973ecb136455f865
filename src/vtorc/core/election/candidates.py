"""What an election goes by: what each tablet that was stopped holds, and what was seen of the last primary."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vtorc.core.election.ack_arithmetic import NOTHING_SEEN, ObservedSemiSync
from vtorc.core.facts.durability import Member
from vtorc.core.facts.gtid import EMPTY_GTID_SET, GtidSet
from vtorc.core.facts.ids import TabletAlias, TabletType

ACKING_TYPES = frozenset({TabletType.PRIMARY, TabletType.REPLICA, TabletType.RDONLY})
"""Types whose logs count: no policy lets any other acknowledge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppedTablet:
    """What a tablet that we stopped holds.

    `received` contains `executed`. `was_primary` says that it was nobody's replica and we demoted it.
    `applier_stopped` says that its relay log does not get applied. `clock` is its wall clock in nanoseconds since the
    Unix epoch, None if it could not be read.
    """

    member: Member
    server_uuid: str
    executed: GtidSet
    received: GtidSet
    source_uuid: str = ""
    was_primary: bool = False
    applier_stopped: str = ""
    backup_running: bool = False
    clock: int | None = None

    @property
    def alias(self) -> TabletAlias:
        """The tablet's name."""
        return self.member.alias


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSet:
    """The shard at the moment of election; `vtorc.core.election.candidate_evidence` makes one from a shard view.

    `members` are all tablets of the shard, reached or not. `primary` is the last known primary, None if not even its
    record is left (then anybody unknown may have been). `primary_uuids` are server UUIDs under which acknowledged
    writes may have been made in the present term, `former_uuids` those of tablets that were primary before and still
    have the record of one. `known_at_primary` is what the primary was seen to hold in this
    term: all that earlier terms acknowledged is in it, unless it is empty. `seen_at_primary` is what it was last seen
    to have committed while each commit waited for acknowledgements. `lost` is what stopped tablets had received and do
    not have any more. `exempt` are unreached tablets that provably
    hold nothing that others lack and cannot acknowledge now, each with the sentence why. `unreadable` are
    tablets whose record is garbage: they never win. `unseen_promotions` may have been promoted without our having heard
    of it (`vtorc.core.election.unseen_promotions`), and `never_read_cells` are cells whose tablets are not known at
    all. `purged` is what tablets have no more in their binary logs, and so cannot give to others. `newest_term` is the
    latest time, in nanoseconds since the Unix epoch, since which anybody is known to have been primary. `first_term`
    says that the shard never had a primary.
    """

    members: Sequence[Member]
    stopped: Mapping[TabletAlias, StoppedTablet]
    primary: TabletAlias | None
    primary_uuids: frozenset[str] = frozenset()
    former_uuids: frozenset[str] = frozenset()
    known_at_primary: GtidSet = EMPTY_GTID_SET
    seen_at_primary: GtidSet = EMPTY_GTID_SET
    semi_sync: ObservedSemiSync = NOTHING_SEEN
    lost: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    exempt: Mapping[TabletAlias, str] = field(default_factory=dict)
    unreadable: frozenset[TabletAlias] = frozenset()
    unseen_promotions: frozenset[TabletAlias] = frozenset()
    never_read_cells: frozenset[str] = frozenset()
    purged: Mapping[TabletAlias, GtidSet] = field(default_factory=dict)
    same_cell_only: bool = False
    newest_term: int = 0
    first_term: bool = False

    @property
    def reached(self) -> frozenset[TabletAlias]:
        """Tablets that were stopped."""
        return frozenset(self.stopped)

    @property
    def accounted_for(self) -> frozenset[TabletAlias]:
        """Tablets that were stopped, or do not have to be."""
        return self.reached | self.exempt.keys()

    @property
    def pool(self) -> dict[TabletAlias, StoppedTablet]:
        """The stopped tablets that may hold acknowledged writes, in order of alias: those of types that acknowledge,
        and those that did, or may have, although they should not now.
        """
        return {
            alias: stopped
            for alias, stopped in sorted(self.stopped.items())
            if stopped.member.type in ACKING_TYPES or alias in self.semi_sync.past_ackers
        }


def why_clock_is_behind(clock: int | None, newest_term: int) -> str:
    """Why a tablet with such a clock cannot become primary, as the end of a sentence about it; empty if it can, or if
    its clock is not known. Both in nanoseconds since the Unix epoch.

    A tablet begins its term by its own clock (Vitess `tm_state.go`). One that began before the present term is taken
    for a former primary by everybody, itself too (`shard_sync.go`): it would give up as soon as it was promoted.
    """
    if clock is None or clock > newest_term:
        return ""
    return (
        f"has a clock that is {(newest_term - clock) / 1e9:.1f} s behind the start of the present term, so other "
        f"tablets would take it for a former primary; correct its clock, or wait until it has passed that time"
    )
