"""What the replicas of a primary that does not answer us can tell of it."""

from collections.abc import Iterable
from dataclasses import dataclass

from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaEvidence:
    """The replicas of one primary.

    `valid` are those that answer; `receiving` those of them whose IO thread is connected to the primary, by their last
    answer; `unheard` those whose last answer is older than the primary's failure, so that it says nothing about now;
    `trying` those that try to reach the primary and have not: one whose IO thread was stopped sees nothing.
    """

    replicas: tuple[TabletView, ...]
    valid: tuple[TabletView, ...]
    receiving: tuple[TabletView, ...]
    unheard: tuple[TabletView, ...]
    trying: tuple[TabletView, ...]

    @classmethod
    def of(cls, view: ShardView, primary: TabletView, *, heard_since: float = float("-inf")) -> "ReplicaEvidence":
        """Call the replicas of `primary`; while that answers, and tells more than that its disk is stalled, nobody has
        been heard since it failed. Who was not heard after `heard_since` either is unheard.
        """
        failing_since = primary.failing_since if primary.failing_since is not None else primary.disk_stalled_since
        since = max(heard_since, failing_since if failing_since is not None else float("inf"))
        replicas = view.replicas_of(primary)
        valid = tuple(tablet for tablet in replicas if tablet.is_current)
        heard = [tablet.status_at is not None and tablet.status_at >= since for tablet in valid]
        return cls(
            replicas=replicas,
            valid=valid,
            receiving=tuple(tablet for tablet in valid if tablet.is_receiving),
            unheard=tuple(tablet for tablet, was_heard in zip(valid, heard, strict=True) if not was_heard),
            trying=tuple(t for t, was_heard in zip(valid, heard, strict=True) if was_heard and _is_connecting(t)),
        )

    def tried_in_vain(self, since: float, *, within: float) -> tuple[TabletView, ...]:
        """Those that have tried to reach the primary for `within` seconds since `since` and got no answer at all.

        Nobody, if any replica received something since: what still streams lives, however slow it is to greet. Nor
        one that the server refused: a server that is full or knows no such user lives as well.
        """
        if any(t.last_advance_at is not None and t.last_advance_at > since for t in self.valid):
            return ()
        return tuple(t for t in self.trying if _got_no_answer(t) and (t.status_at or 0.0) - since >= within)

    @property
    def shut_out(self) -> tuple[TabletView, ...]:
        """Those whose attempt to connect has failed, if no server spoke to any of them: one that refuses somebody (it
        is full, or knows no such user) lives.
        """
        failed = tuple(t for t in self.trying if _failed_to_connect(t))
        return failed if all(_got_no_answer(t) for t in failed) else ()

    def hopeful(self, now: float, *, within: float) -> tuple[TabletView, ...]:
        """Those that may yet reach the primary: they lost their connection, or were stopped, less than `within` seconds
        ago, and no attempt to connect again has failed since.
        """
        return tuple(
            t
            for t in self.valid
            if t.not_receiving_since is not None and now - t.not_receiving_since < within and not _failed_to_connect(t)
        )

    @property
    def are_broken(self) -> bool:
        """Whether any that answers does not replicate as it should."""
        statuses = (t.status.replication for t in self.valid if t.status is not None)
        return any(replication is not None and not replication.is_replicating for replication in statuses)

    def as_text(self) -> dict[str, str]:
        """The evidence for people."""
        return {
            "replicas": names(self.replicas),
            "reachable_replicas": names(self.valid),
            "receiving_replicas": names(self.receiving),
            "replicas_to_hear_again": names(self.unheard),
        }


def names(tablets: Iterable[TabletView]) -> str:
    """Aliases joined by commas, or `none`."""
    return ", ".join(str(tablet.alias) for tablet in tablets) or "none"


_NO_ANSWER = ("Can't connect", "Lost connection", "has gone away", "Unknown MySQL server host")
"""What the client library says when no server spoke to it: errors 2003, 2013, 2006, 2005 (MySQL client error
reference).
"""


def _got_no_answer(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    error = replication.last_io_error if replication is not None else ""
    return not error or any(phrase in error for phrase in _NO_ANSWER)


def _failed_to_connect(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and bool(replication.last_io_error) and _is_connecting(tablet)


def _is_connecting(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and replication.io_state is ThreadState.CONNECTING
