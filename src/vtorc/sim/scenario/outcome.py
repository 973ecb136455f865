"""The outcome of a simulated world as text that does not depend on exact times and positions."""

import re
from collections.abc import Iterator, Sequence

from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.recovery.record import Outcome, RecoveryRecord
from vtorc.sim.campaigns.mask import mask
from vtorc.sim.cluster.world import SimShard, World

_ALIAS = re.compile(r"\b\w+-\d{10}\b")
_COUNT = re.compile(r"(?<=\bstep )\d+|\b\d+(?= rows?\b| acknowledged\b)")
"""Counts in the texts of violations, apart from those that `mask` knows."""

MANY = 10
"""Up to so many shards are reported one by one, more only in sum."""


class ScenarioOutcome:
    """Reports what happened since the last report."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reported: dict[str, int] = {}
        self._violations = 0
        self._journal: dict[ShardId, int] = {}

    def restart(self) -> None:
        """Ignore everything that happened until now."""
        self._reported = {vtorc.host.name: len(vtorc.records) for vtorc in self._world.vtorcs}
        for shard in self._world.shards.values():
            shard.ledger.longest_gap = 0.0
            self._journal[shard.id] = _journal_rows(shard)

    def reparents(self, shard: SimShard) -> int:
        """Return the number of reparents in the present primary's journal since the restart."""
        return _journal_rows(shard) - self._journal.get(shard.id, 0)

    def outage(self, shard: SimShard) -> float:
        """Return the longest time without an acknowledged write since the restart, up to now, in seconds."""
        last = shard.ledger.last_write
        return max(shard.ledger.longest_gap, 0.0 if last is None else self._world.now - last)

    def report(self) -> list[str]:
        """Return the state of each shard, recoveries, decisions not to act, and lost writes since the last report."""
        records = sorted(self._new_records(), key=lambda record: record.began)
        self._reported = {vtorc.host.name: len(vtorc.records) for vtorc in self._world.vtorcs}
        shards = list(self._world.shards.values())
        lines = self.states(shards)
        if len(shards) <= MANY:
            lines = [line for shard in shards for line in self._report_shard(shard, records)]
        else:
            lost = sum(len(shard.ledger.lost_on(shard.primary.mysqld)) for shard in shards if shard.primary)
            lines.append(f"  protected writes lost: {lost}")
        violations = self._world.checker.violations[self._violations :]
        self._violations = len(self._world.checker.violations)
        return [*lines, *(f"VIOLATION {each.rule}: {_COUNT.sub('N', mask(each.text))}" for each in violations)]

    def _report_shard(self, shard: SimShard, records: Sequence[RecoveryRecord]) -> list[str]:
        return [
            self.state(shard),
            *self._recoveries([record for record in records if record.shard == shard.id]),
            *self._decisions_not_to_act(shard),
            *self._lost(shard),
        ]

    def states(self, shards: Sequence[SimShard]) -> list[str]:
        """Return the primary of each shard and what is wrong there; for many shards, only whether all are well."""
        if len(shards) <= MANY:
            return [self.state(shard) for shard in shards]
        well = all(not self._world.unwell(shard) for shard in shards)
        return [f"{len(shards)} shards: {'all well' if well else 'not all well'}"]

    def state(self, shard: SimShard) -> str:
        """Return the primary of a shard, and what is wrong there."""
        primary = shard.primary
        wrong = "; ".join(self._world.unwell(shard))
        if primary is None:
            return f"{shard.id}: {wrong}"
        return f"{shard.id}: primary {primary.alias_text}, {wrong or 'all well'}"

    def semi_sync(self) -> list[str]:
        """Return which sides of semi-sync are on, for each tablet."""
        return [
            f"{tablet.alias_text}: waits for acks {_on(tablet.mysqld.acks.enabled)}, "
            f"acknowledges {_on(tablet.mysqld.semi_sync_replica)}"
            for shard in self._world.shards.values()
            for tablet in shard.tablets
        ]

    def threads(self) -> list[str]:
        """Return the source of each tablet, and which of its threads run."""
        lines: list[str] = []
        for shard in self._world.shards.values():
            for tablet in shard.tablets:
                replication = tablet.mysqld.replication
                source = f"from {replication.source.host}" if replication.source is not None else "without a source"
                io, applier = replication.io_state.name.lower(), _on(replication.applier.running)
                lines.append(f"{tablet.alias_text}: {source}, IO thread {io}, applier {applier}")
        return lines

    def _new_records(self) -> Iterator[RecoveryRecord]:
        for vtorc in self._world.vtorcs:
            yield from vtorc.records[self._reported.get(vtorc.host.name, 0) :]

    def _recoveries(self, records: list[RecoveryRecord]) -> list[str]:
        """Return each different recovery once; of repairs only the tablets, as which problem comes first is chance."""
        lines: dict[str, int] = {}
        repairs: set[str] = set()
        for record in records:
            if not record.outcome.was_attempt:
                continue
            code = record.code.value if record.code is not None else "an operator"
            text = f"  {record.recovery.value} for {code} {record.outcome.value}: {mask(record.sentence)}"
            is_repair = record.winner is None and record.recovery is not Recovery.RESTART_DIRECT_REPLICA
            if not is_repair or record.outcome is not Outcome.SUCCEEDED:
                lines[text] = lines.get(text, 0) + 1
            else:
                repairs.update(_ALIAS.findall(record.sentence))
        found = [text if "succeeded" not in text or n == 1 else f"{text} ({n} times)" for text, n in lines.items()]
        return [*found, *([f"  repaired: {', '.join(sorted(repairs))}"] if repairs else [])]

    def _decisions_not_to_act(self, shard: SimShard) -> list[str]:
        lines: set[str] = set()
        for vtorc in self._world.vtorcs:
            for decision in vtorc.decisions(shard.id):
                if not decision.acts:
                    lines.add(f"  {decision.finding.code.value} [{decision.rule.value}] {mask(decision.sentence)}")
        return sorted(lines)

    def _lost(self, shard: SimShard) -> Iterator[str]:
        primary = shard.primary
        if primary is None:
            return
        protected = len(shard.ledger.lost_on(primary.mysqld))
        bare = shard.ledger.unprotected_lost_on(primary.mysqld)
        if shard.ledger.promises or protected:
            yield f"  protected writes lost: {'some' if protected else 0}"
        if shard.ledger.gone_on(primary.mysqld):
            yield "  writes lost with the disks that went back in time: some"
        if bare:
            yield "  unprotected writes lost: some"


def _journal_rows(shard: SimShard) -> int:
    return sum(len(rows) for rows in shard.primary.mysqld.tables.journal.values()) if shard.primary is not None else 0


def _on(state: bool) -> str:
    return "on" if state else "off"
