"""The binlog dump threads of a simulated source: one for each replica that reads from it."""

from collections.abc import Callable, Sequence

from vtorc.sim.engine.stream import End
from vtorc.sim.mysql.ack_receiver import AckReceiver
from vtorc.sim.mysql.binlog import Binlog
from vtorc.sim.mysql.dump import Dump, DumpRequest
from vtorc.sim.mysql.semisync import AckWaits


class DumpThreads:
    """The dump threads of one server, and with them its semi-sync clients; `left` is called when a replica hangs up."""

    def __init__(self, acks: AckWaits, ack_receiver: AckReceiver, left: Callable[[], None]) -> None:
        self._acks = acks
        self._ack_receiver = ack_receiver
        self._left = left
        self._dumps: dict[str, Dump] = {}

    @property
    def all(self) -> Sequence[Dump]:
        """The threads, longest connected first."""
        return list(self._dumps.values())

    def of(self, replica: str) -> Dump | None:
        """Return the thread of the replica with this server UUID; None if it is not connected."""
        return self._dumps.get(replica)

    @property
    def semi_sync_clients(self) -> int:
        """The number of connected replicas that acknowledge."""
        return sum(dump.semi_sync for dump in self._dumps.values())

    def open(self, binlog: Binlog, end: End, request: DumpRequest, *, now: float) -> Dump:
        """Return a new thread for a replica; a former one under the same UUID is ended (MySQL error 13114)."""
        former = self._dumps.pop(request.uuid, None)
        if former is not None:
            former.end.send(former.refused, 13114, "A replica with the same server_uuid/server_id has connected")
            former.end.close()
            self._acker_left(former)
        dump = self._dumps[request.uuid] = Dump(binlog, self._acks, end, request, began_at=now)
        end.on_close = lambda: self._closed(dump)
        return dump

    def pump(self) -> None:
        """Send all replicas what is new in the binary log."""
        for dump in self.all:
            dump.pump()

    def acknowledged(self, replica: str, position: int) -> None:
        """Note the semi-sync acknowledgement of a replica, if it is still connected."""
        dump = self.of(replica)
        if dump is not None:
            dump.acknowledged(position)
            self._ack_receiver.look_up()

    def close(self) -> None:
        """End all threads, and their replicas' connections with them."""
        for dump in self.all:
            dump.end.close()
        self._dumps.clear()
        self._ack_receiver.look_up()

    def forget(self) -> None:
        """Forget all threads, as a crash does."""
        self._dumps.clear()

    def _closed(self, dump: Dump) -> None:
        if self.of(dump.uuid) is dump:
            del self._dumps[dump.uuid]
            self._acker_left(dump)
            self._left()

    def _acker_left(self, dump: Dump) -> None:
        if dump.semi_sync:
            self._ack_receiver.closed(joined_at=dump.began_at)
