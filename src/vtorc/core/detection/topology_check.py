"""Checks the records of a shard: its durability policy, its tablets, its cells, and whether it has a primary."""

from collections.abc import Iterator

from vtorc.core.detection.findings import Finding
from vtorc.core.detection.problems import Code
from vtorc.core.detection.proven_past import proven_past, stands_since
from vtorc.core.detection.shard_check import ShardCheck
from vtorc.core.detection.thresholds import PAST_STANDS_FOR
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.views import TabletView


class TopologyCheck(ShardCheck):
    """The checks of what the topology server says."""

    def findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the records, and that the shard has no primary."""
        yield from self._policy()
        yield from self._unreadable()
        if self.primary is None:
            yield from self._no_primary()

    def _policy(self) -> Iterator[Finding]:
        if self.policy is not None:
            return
        name = self.view.keyspace_record.durability_policy
        if name:
            yield self.found(
                Code.UNKNOWN_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has the durability policy {name!r}, which vtorc does not know",
            )
        else:
            yield self.found(
                Code.NO_DURABILITY_POLICY,
                None,
                f"keyspace {self.view.shard.keyspace} has no durability policy, and the configuration names no "
                f"Durability",
            )

    def _unreadable(self) -> Iterator[Finding]:
        for alias, reason in sorted(self.view.bad_records.items()):
            yield Finding(
                code=Code.BAD_TABLET_RECORD,
                shard=self.view.shard,
                alias=alias,
                sentence=f"{self.view.shard}: the record of tablet {alias} cannot be read and is left out ({reason})",
            )
        for tablet in self.view.tablets:
            if tablet.failure is not None and (other := self._successor_at_its_address(tablet)) is not None:
                yield self.found(
                    Code.BAD_TABLET_RECORD,
                    tablet,
                    f"has a record with the MySQL address of {other.alias}, which answers there; if {tablet.alias} is "
                    f"gone for good, remove its record (DeleteTablets), as until then it counts as a tablet that was "
                    f"not reached",
                )
        for cell, reason in sorted(self.view.unreachable_cells.items()):
            yield self.found(
                Code.UNREACHABLE_CELL,
                None,
                f"the topology server of cell {cell} does not answer, so its tablets are those last read ({reason})",
            )

    def _successor_at_its_address(self, tablet: TabletView) -> TabletView | None:
        """Return the tablet that answers where the server of `tablet` was; None if there is none."""
        if not tablet.record.mysql_hostname:
            return None
        other = self.view.at_address(tablet.record.mysql_address)
        return other if other is not None and other.is_current and other is not tablet else None

    def _no_primary(self) -> Iterator[Finding]:
        shard = self.view.shard_record
        if not any(tablet.is_replica_type for tablet in self.view.tablets):
            return
        named = shard.primary_alias
        past = proven_past(self.view) if named is None and not shard.primary_term_start else ""
        if named is None and not shard.primary_term_start and not past:
            what = f"no tablet is primary, and the shard record never named one{self.late_record_note}"
            confirmed = self.all_probed and not self.self_declared_primaries
            yield self.found(Code.CLUSTER_HAS_NO_PRIMARY, None, what, confirmed=confirmed)
            return
        if hidden := self._why_hidden(named):
            yield self.found(Code.UNREACHABLE_CELL, None, f"no tablet is known to be primary, but {hidden}")
            return
        tablet = self.view.tablet(named)
        if tablet is not None and self._is_primary_all_the_same(tablet):
            what = "is the primary by its own account and by the shard record, and its tablet record is older than that"
            yield self.found(Code.PRIMARY_RECORD_OUTDATED, tablet, what)
            return
        confirmed = self.all_probed and not self.self_declared_primaries
        how = "has lost its tablet record"
        if tablet is not None:
            how = "is no longer of type PRIMARY"
            # Without its answer only its replicas can tell whether it is primary all the same.
            confirmed = confirmed and (
                tablet.is_current or not any(replica.is_receiving for replica in self.view.replicas_of(tablet))
            )
        if past:
            confirmed = confirmed and self.now - stands_since(self.view) >= PAST_STANDS_FOR
            what = f"no record names a primary, but the shard had one: {past}{self.late_record_note}"
        else:
            subject = f"the primary {named}" if named is not None else "the primary"
            what = f"{subject} {how}, and no other tablet is primary{self.late_record_note}"
        yield self.found(Code.PRIMARY_TABLET_DELETED, None, what, confirmed=confirmed)

    def _is_primary_all_the_same(self, named: TabletView) -> bool:
        """Whether the tablet that the shard record names says itself that it is primary, and its record is not late.

        A tablet writes its type into its record when it changes. If the topology server is restored from an older
        backup after that, the tablet corrects the shard record only.
        """
        status = named.current_status
        return (
            status is not None
            and status.tablet_type is TabletType.PRIMARY
            and named.memory.record_confirmed
            and self.self_declared_primaries == (named,)
        )

    def _why_hidden(self, named: TabletAlias | None) -> str:
        """Return why the primary may exist unseen; empty if it cannot. A read that failed does not prove a deletion."""
        if named is not None and named in self.view.bad_records:
            return f"the record of {named} cannot be read"
        cells = self.view.unreachable_cells if named is None else {named.cell} & self.view.unreachable_cells.keys()
        return f"cell {min(cells)} cannot be read" if cells else ""
