"""Turns what happens in a simulated world into events of the model, and follows them at once."""

from collections.abc import Callable, Container, Sequence

from vtorc.core.detection.recoveries import Reparent
from vtorc.recovery.record import RecoveryRecord, StepRecord
from vtorc.sim.engine.process import ProcessState
from vtorc.sim.model.conformance import (
    Applied,
    Committed,
    Crashed,
    Event,
    Path,
    Pointed,
    Received,
    Recovered,
    Restarted,
    Restored,
    Writable,
    Wrote,
)
from vtorc.sim.model.plan import ModelPlan
from vtorc.sim.model.recovery_path import Done
from vtorc.sim.model.state import NO_TABLET
from vtorc.sim.mysql.binlog import InsertRow, Transaction
from vtorc.sim.mysql.server import MysqlObserver, SimMysqld
from vtorc.sim.mysql.settings import DropReason


class Recorder(MysqlObserver):
    """Records every shard of a world, and passes everything on to `checker`."""

    def __init__(self, checker: MysqlObserver) -> None:
        self._checker = checker
        self._recordings: dict[SimMysqld, Recording] = {}

    def watch(self, recording: "Recording", server: SimMysqld) -> None:
        """Record a server as part of a shard; callers add servers in the order of the shard's members."""
        self._recordings[server] = recording
        recording.add(server)

    def wrote(self, server: SimMysqld, transaction: Transaction) -> None:
        """A write was made."""
        self._recordings[server].wrote(server, transaction)
        self._checker.wrote(server, transaction)

    def received(self, server: SimMysqld, transaction: Transaction) -> None:
        """A transaction arrived."""
        self._recordings[server].happened(server, Received, transaction)

    def applied(self, server: SimMysqld, transaction: Transaction) -> None:
        """A transaction is applied."""
        self._recordings[server].happened(server, Applied, transaction)

    def restored(self, server: SimMysqld, other: SimMysqld) -> None:
        """A server was copied."""
        self._recordings[server].restored(server, other)

    def rolled_back(self, server: SimMysqld) -> None:
        """End the comparison, as the model has no step that loses what was flushed."""
        self._recordings[server].end()
        self._checker.rolled_back(server)

    def emptied(self, server: SimMysqld) -> None:
        """End the comparison, as the model has no step that empties a server."""
        self._recordings[server].end()

    def pointed(self, server: SimMysqld) -> None:
        """A server has another source."""
        self._recordings[server].pointed(server)

    def committed(self, server: SimMysqld, transaction: Transaction, *, acknowledged: bool, waited: bool) -> None:
        """A commit became visible."""
        self._recordings[server].committed(server, transaction, acknowledged=acknowledged)
        self._checker.committed(server, transaction, acknowledged=acknowledged, waited=waited)

    def relay_log_dropped(self, server: SimMysqld, lost: Sequence[Transaction], why: DropReason) -> None:
        """Pass on a dropped relay log, which `pointed` and `looked_at` show to the model."""
        self._checker.relay_log_dropped(server, lost, why)

    def history_wiped(self, server: SimMysqld) -> None:
        """End the comparison, as the model has no step that wipes a history."""
        self._recordings[server].end()
        self._checker.history_wiped(server)

    def writability_changed(self, server: SimMysqld) -> None:
        """A server may have crashed, come back, or changed read_only."""
        self._recordings[server].looked_at(server)
        self._checker.writability_changed(server)


class Recording:
    """One shard of a world as a path of the model; `broken` gets the first violation.

    `by_hand` has the UUIDs of servers that an operator has changed.
    """

    def __init__(self, plan: ModelPlan, *, by_hand: Container[str], broken: Callable[[str], None]) -> None:
        self._path = Path(plan)
        self._places: dict[SimMysqld, int] = {}
        self._addresses: dict[tuple[str, int], int] = {}
        self._by_hand = by_hand
        self._broken = broken
        self._ended = False
        self._up: dict[SimMysqld, bool] = {}
        self._writable: dict[SimMysqld, bool] = {}

    def add(self, server: SimMysqld) -> None:
        """Record a server, which is down and empty."""
        self._addresses[server.address] = self._places[server] = len(self._places)
        self._up[server] = self._writable[server] = False
        self._follow(Crashed(self._places[server]))

    def end(self) -> None:
        """End the comparison."""
        self._ended = True

    def wrote(self, server: SimMysqld, transaction: Transaction) -> None:
        """A write was made; a superuser, not stopped by read_only, makes those that are no client's."""
        free = server.uuid in self._by_hand or not isinstance(transaction.change, InsertRow)
        self._follow(Wrote(self._places[server], transaction, by_hand=free))

    def happened(self, server: SimMysqld, kind: type[Received | Applied], transaction: Transaction) -> None:
        """A transaction arrived at a server, or is applied."""
        self._follow(kind(self._places[server], transaction))

    def committed(self, server: SimMysqld, transaction: Transaction, *, acknowledged: bool) -> None:
        """A commit became visible."""
        self._follow(Committed(self._places[server], transaction, acknowledged))

    def restored(self, server: SimMysqld, other: SimMysqld) -> None:
        """A server has another server's data."""
        self._follow(Restored(self._places[server], self._places[other], other.settings.wait_after_commit))

    def pointed(self, server: SimMysqld) -> None:
        """A server has an empty relay log, and may have another source."""
        source = server.replication.source
        place = NO_TABLET if source is None else self._addresses.get((source.host, source.port), NO_TABLET)
        self._follow(Pointed(self._places[server], place))

    def looked_at(self, server: SimMysqld) -> None:
        """Find out whether a server has crashed, come back, or changed read_only."""
        place = self._places[server]
        up = server.process.state is not ProcessState.STOPPED
        if up is not self._up[server]:
            self._up[server] = up
            self._follow(Restarted(place, server.received.count()) if up else Crashed(place))
            self._writable[server] = False
        if up and self._writable[server] is server.read_only:
            self._writable[server] = not server.read_only
            by_hand = server.uuid in self._by_hand
            self._follow(Writable(place, not server.read_only, by_hand))

    def recovered(self, record: RecoveryRecord) -> None:
        """A vtorc has ended a recovery."""
        if record.recovery.traits.reparent is Reparent.EMERGENCY:
            self._follow(Recovered(tuple(_done(step) for step in record.steps)))

    def _follow(self, event: Event) -> None:
        if self._ended:
            return
        if violation := self._path.follow(event):
            self._ended = True
            self._broken(violation.text)


def _done(step: StepRecord) -> Done:
    target = str(step.target or "")
    return Done(step.name, target, step.started, step.started + step.duration, step.result == "done")
