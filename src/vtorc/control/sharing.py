"""Shares the shards of a fleet out among the vtorcs that are alive, through records in the topology server.

Each vtorc writes its record every second, and reads those of the others. One whose record stays the same for the length
of a lease is taken for dead. No promise rests on that: the shard lock keeps two vtorcs from acting on one shard. A
stand-in acts after a while, whether or not the first vtorc seems alive. A vtorc that is alive in the topology server
may still be cut off from the tablets.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from vtorc.control.scope import Scope
from vtorc.control.shares import Part, SharingVtorc, order_for, part_of
from vtorc.core.facts.clock import Clock
from vtorc.core.facts.ids import ShardId
from vtorc.errors import BadRecord, NameParseError, TopoError
from vtorc.topo.paths import vtorc as path_of
from vtorc.topo.server import TopoServer
from vtorc.topo.vtorc_records import VtorcRecord, read_vtorc_record, write_vtorc_record

BEAT_EVERY = 1.0
"""Seconds from one writing of the own record to the next."""

LEASE = 5.0
"""Seconds without a beat after which a vtorc is taken for dead."""

STAND_IN_WAITS = 5.0
"""Seconds that a stand-in leaves a problem to the first vtorc of its shard."""

FORGET_AFTER = 3600.0
"""Seconds without a beat after which another vtorc deletes the record that a dead one left."""


@dataclass(slots=True)
class _Heard:
    """The last beat that was read of another vtorc."""

    record: VtorcRecord
    at: float
    """When it was first read, in seconds of the time in which the records could be read."""


class ShardSharing:
    """The vtorcs that are alive, as this one sees them, and what follows for each shard.

    Before the first reading, this vtorc counts as the only one, and watches all shards.
    """

    def __init__(
        self,
        topo: TopoServer,
        clock: Clock,
        name: str,
        *,
        life: str,
        clusters_to_watch: tuple[str, ...] = (),
        acts: Callable[[], bool] = lambda: True,
    ) -> None:
        """Tell others of this vtorc as `name`; `life` is a random text, and `acts` whether recoveries are allowed."""
        self._topo = topo
        self._clock = clock
        self._name = name
        self._life = life
        self._entries = clusters_to_watch
        self._acts = acts
        self._beat = 0
        self._heard: dict[str, _Heard] = {}
        self._unreadable: set[str] = set()
        self._read_at: float | None = None
        self._readable = 0.0
        self._vtorcs: tuple[SharingVtorc, ...] = (self._own(),)
        self._parts: dict[ShardId, Part] = {}
        self._failure = ""
        self._namesake: VtorcRecord | None = None
        self._log = structlog.get_logger("vtorc")

    @property
    def name(self) -> str:
        """The name of this vtorc."""
        return self._name

    @property
    def vtorcs(self) -> tuple[str, ...]:
        """The names of all vtorcs that are alive, this one included, in order."""
        return tuple(each.name for each in self._vtorcs)

    def part_in(self, shard: ShardId) -> Part:
        """Return the part of this vtorc in a shard at this moment."""
        if shard not in self._parts:
            self._parts[shard] = part_of(self._name, shard, self._vtorcs)
        return self._parts[shard]

    def order_for(self, shard: ShardId) -> tuple[str, ...]:
        """Return the vtorcs that watch a shard: the one that repairs it, and its stand-in if there is one."""
        return order_for(shard, self._vtorcs)[:2]

    def reason_to_wait(self, shard: ShardId, stood: float) -> str:
        """Return why this vtorc leaves a problem that has stood for so many seconds to another; empty if it does not.

        Otherwise both would queue for the lock of each shard, and the second would read the shard in vain.
        """
        if stood >= STAND_IN_WAITS or self.part_in(shard) is not Part.STAND_IN:
            return ""
        first = self.order_for(shard)[0]
        return f"vtorc {first} repairs this shard; this one does if the problem stands for {STAND_IN_WAITS:g} s"

    async def run(self, changed: Callable[[], None]) -> None:
        """Write and read the records until cancelled; call `changed` when the vtorcs that are alive are others."""
        while True:
            if await self.beat():
                changed()
            await asyncio.sleep(BEAT_EVERY)

    async def beat(self) -> bool:
        """Write the own record and read the others; returns whether the vtorcs that are alive are others now.

        While the topology server does not answer, they stay as they were.
        """
        self._beat += 1
        try:
            async with asyncio.timeout(LEASE):
                # The own record was written a beat ago: another vtorc of the same name has replaced it by now.
                contents = await self._topo.vtorcs()
                await self._topo.write_vtorc(self._name, write_vtorc_record(self._record()))
        except (TopoError, TimeoutError) as error:
            self._tell_failure(str(error) or f"it did not answer within {LEASE:g} s")
            return False
        self._tell_failure("")
        self._note_reading()
        for name, told in contents.items():
            self._hear(name, told)
        self._heard = {name: heard for name, heard in self._heard.items() if name in contents}
        self._unreadable &= contents.keys()
        await self._forget_dead()
        return self._settle()

    async def leave(self) -> None:
        """Tell the others at once that this vtorc ends; without an answer they find out by its lease."""
        with contextlib.suppress(TopoError, TimeoutError):
            async with asyncio.timeout(BEAT_EVERY):
                await self._topo.delete_vtorc(self._name)

    def _record(self) -> VtorcRecord:
        return VtorcRecord(
            name=self._name,
            life=self._life,
            beat=self._beat,
            clusters_to_watch=self._entries,
            acts=self._acts(),
        )

    def _own(self) -> SharingVtorc:
        return SharingVtorc(name=self._name, scope=Scope.parse(self._entries), acts=self._acts())

    def _note_reading(self) -> None:
        """Let time pass for the leases of others: only as much as passes between two readings in a row."""
        now = self._clock.now()
        if self._read_at is not None:
            self._readable += min(now - self._read_at, 2 * BEAT_EVERY)
        self._read_at = now

    def _hear(self, name: str, contents: bytes) -> None:
        try:
            record = _read(name, contents)
        except BadRecord as error:
            if name not in self._unreadable:
                self._log.error(f"{error}; this record is not counted as a vtorc; delete it, or stop what writes it")
            self._unreadable.add(name)
            return
        self._unreadable.discard(name)
        if name == self._name:
            self._hear_own_name(record)
            return
        before = self._heard.get(name)
        if before is None or (before.record.life, before.record.beat) != (record.life, record.beat):
            self._heard[name] = _Heard(record, self._readable)

    def _hear_own_name(self, record: VtorcRecord) -> None:
        """Take another name if a vtorc that is alive has this one: the two would never stand in for each other.

        One foreign record alone may be that of the process before this one, read from a server that lags behind.
        """
        before, self._namesake = self._namesake, record if record.life != self._life else self._namesake
        if before is None or record.life != before.life or record.beat == before.beat:
            return
        taken, self._name = self._name, f"{self._name}~{self._life}"
        self._parts.clear()
        self._log.error(
            f"another vtorc shares the shards under the name {taken}; this one is {self._name} from now on; "
            f"give each vtorc of a host its own --port"
        )

    async def _forget_dead(self) -> None:
        """Delete the records of those long dead; one that cannot be deleted stays known as dead."""
        for name in [name for name, heard in self._heard.items() if self._silent_for(heard) >= FORGET_AFTER]:
            with contextlib.suppress(TopoError):
                await self._topo.delete_vtorc(name)
                del self._heard[name]

    def _silent_for(self, heard: _Heard) -> float:
        return self._readable - heard.at

    def _settle(self) -> bool:
        alive = [heard.record for heard in self._heard.values() if self._silent_for(heard) < LEASE]
        others = (
            SharingVtorc(name=each.name, scope=Scope.parse(each.clusters_to_watch), acts=each.acts) for each in alive
        )
        vtorcs = tuple(sorted([self._own(), *others], key=lambda each: each.name))
        if vtorcs == self._vtorcs:
            return False
        self._vtorcs = vtorcs
        self._parts.clear()
        self._log.info(f"the shards are shared among {len(vtorcs)} vtorcs: {', '.join(self.vtorcs)}")
        return True

    def _tell_failure(self, failure: str) -> None:
        if failure and not self._failure:
            self._log.error(
                f"the records of the vtorcs that share the shards could not be written and read: {failure}; they count "
                f"as alive as they did before"
            )
        elif self._failure and not failure:
            self._log.info("the records of the vtorcs that share the shards can be written and read again")
        self._failure = failure


def _read(name: str, contents: bytes) -> VtorcRecord:
    """Return the record of the vtorc `name`; raises BadRecord, too if its scope cannot be read."""
    path = path_of(name)
    record = read_vtorc_record(path, contents)
    try:
        Scope.parse(record.clusters_to_watch)
    except NameParseError as error:
        raise BadRecord(path, str(error)) from None
    return record
