"""When a tablet was seen to be a semi-sync client of another server: its own side of what that server counts."""

from dataclasses import dataclass, replace
from typing import Self

from vtorc.core.facts.status import TabletStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSpan:
    """The last time in which a tablet received from one server with its side of semi-sync at work.

    Times are seconds on the caller's monotonic clock.
    """

    source_uuid: str
    """UUID of that server; empty if the tablet did not tell it."""
    source_host: str
    """Host of that server, as the tablet names it."""
    source_port: int
    """Port of that server."""
    seen_from: float
    """When the first probe was over that saw it. It is minus infinity if that was the first probe of all, as it may
    have been so for ever.
    """
    seen_to: float
    """When the last probe started that saw it."""
    ended: float | None = None
    """When the first probe was over that found it otherwise; None while none did."""

    @classmethod
    def after_answer(
        cls, before: Self | None, status: TabletStatus, *, is_first: bool, started: float, ended: float
    ) -> Self | None:
        """Return what is known after a probe from `started` to `ended` brought `status`; None while it was never seen.

        An answer that tells only of a stalled disk, or leaves semi-sync out, changes nothing.
        """
        replication = status.replication
        is_receiving = replication is not None and replication.is_receiving
        if status.disk_stalled or (is_receiving and not status.semi_sync.is_reported):
            return before
        if replication is None or not is_receiving or not status.semi_sync.replica_active:
            return cls.after_end(before, ended=ended)
        if (
            before is not None
            and before.ended is None
            and before.is_of(replication.source_uuid, replication.source_address)
        ):
            return replace(before, seen_to=started)
        return cls(
            source_uuid=replication.source_uuid,
            source_host=replication.source_host,
            source_port=replication.source_port,
            seen_from=float("-inf") if is_first else ended,
            seen_to=started,
        )

    @classmethod
    def after_end(cls, before: Self | None, *, ended: float) -> Self | None:
        """Return what is known after a probe, over at `ended`, found the tablet to be no client, or its MySQL down."""
        return before if before is None or before.ended is not None else replace(before, ended=ended)

    def is_of(self, server_uuid: str, address: tuple[str, int]) -> bool:
        """Whether it tells of the server with this UUID and address."""
        if self.source_uuid and server_uuid:
            return self.source_uuid == server_uuid
        return (self.source_host, self.source_port) == address
