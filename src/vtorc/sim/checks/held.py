"""Checks that a simulated vtorc does nothing by itself that a hold forbids."""

from collections.abc import Callable

from vtorc.core.facts.holds import Effect
from vtorc.discovery.watch import HoldsSource
from vtorc.recovery.record import BegunRecovery, RecoveryRecord


class HoldsHonoured:
    """The recoveries of one life of a vtorc, compared with the holds in force."""

    def __init__(self, vtorc: str, holds: HoldsSource, violate: Callable[[str, str], None]) -> None:
        self._vtorc = vtorc
        self._holds = holds
        self._violate = violate

    def started(self, begun: BegunRecovery) -> None:
        """Check a recovery that begins; operators may ask for any."""
        effect = begun.recovery.traits.forbidden_by
        if begun.asked is not None or effect is None:
            return
        aliases = [begun.alias] if begun.alias is not None else []
        hold = self._holds(begun.shard, aliases).forbidding(effect, begun.alias)
        if hold is not None:
            what = f"{begun.recovery.value} of {begun.shard}"
            self._violate("held", f"{self._vtorc} began {what} against {hold.sentence}")

    def finished(self, record: RecoveryRecord) -> None:
        """Check the tablet that a recovery promoted: no hold that is older than it may forbid that."""
        if record.winner is None or record.asked is not None:
            return
        hold = self._holds(record.shard, [record.winner]).forbidding(Effect.NOT_PROMOTABLE, record.winner)
        if hold is not None and hold.created < record.began:
            self._violate("held", f"{self._vtorc} promoted {record.winner} of {record.shard} against {hold.sentence}")
