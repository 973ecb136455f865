"""The steps of a reparent and its write gap in words, as a plan tells them."""

from collections.abc import Sequence
from dataclasses import dataclass

from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import TabletAlias, alias_list
from vtorc.core.facts.views import TabletView

_LOCK = "Take the shard lock, read the shard's records, and ask its tablets again."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReparentWords:
    """One reparent in words."""

    primary: TabletView | None
    """The present primary; None if the shard has none."""
    winner: TabletAlias
    """The tablet that becomes primary."""
    catch_up: float
    """Seconds that a tablet gets to apply its relay log."""

    def planned_steps(self, repointed: str, acker: TabletAlias | None) -> tuple[str, ...]:
        """Return the steps of a planned reparent; `acker` is disconnected for the demotion unless it is None."""
        disconnected = f" If MySQL is slow to switch semi-sync off, disconnect {acker}." if acker is not None else ""
        return (
            _LOCK,
            f"Wait until {self.winner} has applied all that {self._primary} has written so far, at most "
            f"{self.catch_up:g} s; {self._primary} still takes writes.",
            f"Make {self._primary} read-only: writes pause from here.{disconnected}",
            f"Wait until {self.winner} has applied the last writes of {self._primary}, at most {self.catch_up:g} s.",
            *self._promotion(repointed),
        )

    def emergency_steps(
        self, source: TabletAlias | None, stopped: Sequence[TabletAlias], repointed: str
    ) -> tuple[str, ...]:
        """Return the steps of an emergency reparent; `winner` fetches from `source` unless that is None."""
        return (
            _LOCK,
            self._stop(stopped),
            f"Elect by what each of them holds then; as of now that would be {self.winner}.",
            self._apply(source),
            *self._promotion(repointed),
        )

    def forced_steps(self, stopped: Sequence[TabletAlias], repointed: str) -> tuple[str, ...]:
        """Return the steps of a forced promotion."""
        return (
            _LOCK,
            self._stop(stopped),
            "Estimate the data loss by what each of them holds then; more than was accepted ends it here.",
            self._apply(None),
            *self._promotion(repointed),
        )

    def planned_gap(self, winner: TabletView, earlier: float | None) -> str:
        """Return how long a planned reparent keeps clients from writing."""
        status = winner.current_status
        lag = status.replication.lag if status is not None and status.replication is not None else None
        behind = f"was {lag} s behind when last asked" if lag is not None else "does not tell how far it is behind"
        return (
            f"Writes pause from the moment when {self._primary} is read-only until {self.winner} takes them. "
            f"{self.winner} {behind}. If it cannot follow within {self.catch_up:g} s, {self._primary} takes writes "
            f"again.{_earlier(earlier)}"
        )

    def emergency_gap(self, earlier: float | None) -> str:
        """Return how long an emergency reparent, or a forced promotion, keeps clients from writing."""
        begins = (
            f"Writes pause as soon as {self._primary} is stopped"
            if self._answers
            else f"Writes fail already if {self._primary} is lost"
        )
        return f"{begins}, and go on once {self.winner} has applied its relay log and is primary.{_earlier(earlier)}"

    def emergency_risk(self, policy: DurabilityPolicy) -> str:
        """Return what an emergency reparent may lose; empty if it loses nothing."""
        if policy.has_semi_sync or self._answers:
            return ""
        return (
            f"The policy {policy.name} asks for no acknowledgements: writes of {self._primary} that reached no other "
            f"tablet are lost."
        )

    @property
    def _primary(self) -> str:
        return str(self.primary.alias) if self.primary is not None else "the former primary"

    @property
    def _answers(self) -> bool:
        return self.primary is not None and self.primary.is_current

    def _stop(self, stopped: Sequence[TabletAlias]) -> str:
        replicas = alias_list(alias for alias in stopped if str(alias) != self._primary)
        demoted = f", and make {self._primary} read-only: writes pause from here" if self._answers else ""
        return f"Stop replication on {replicas}{demoted}."

    def _apply(self, source: TabletAlias | None) -> str:
        if source is not None:
            return f"Let {self.winner} fetch from {source} what it lacks, and apply it."
        return f"Wait until {self.winner} has applied its relay log, at most {self.catch_up:g} s."

    def _promotion(self, repointed: str) -> tuple[str, ...]:
        return (
            f"Make {self.winner} primary; from here there is no way back.",
            f"Make these replicate from {self.winner}: {repointed}.",
            f"Write into the reparent journal of {self.winner}: its acknowledgement shows that writes go on.",
        )


def _earlier(seconds: float | None) -> str:
    return f" The last reparent of this shard paused them for {seconds:.2f} s." if seconds is not None else ""
