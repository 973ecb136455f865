"""The evidence of the replicas about a primary that does not answer vtorc."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from vtorc.core.facts.ids import alias_list
from vtorc.core.facts.status import ThreadState
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaEvidence:
    """The replicas of one primary, sorted by what each can tell."""

    replicas: tuple[TabletView, ...]
    """All tablets that replicate from it by their last status, reachable or not."""
    answering: tuple[TabletView, ...]
    """Those that answered their last probe."""
    receiving: tuple[TabletView, ...]
    """Those of `answering` with an IO thread that is connected to the primary."""
    outdated: tuple[TabletView, ...]
    """Those of `answering` that were last heard before the primary began to fail, which says nothing about now."""
    reconnecting: tuple[TabletView, ...]
    """Those heard since then with an IO thread that tries to connect. A thread that was stopped sees nothing."""

    @classmethod
    def of(cls, view: ShardView, primary: TabletView, *, heard_since: float = float("-inf")) -> "ReplicaEvidence":
        """Sort the replicas of `primary`.

        A replica that was not heard after `heard_since` is outdated too. While the primary answers, and says more than
        that its disk is stalled, all of them are outdated: it has not begun to fail.
        """
        failing_since = (
            primary.failing_since if primary.failing_since is not None else primary.memory.disk_stalled_since
        )
        since = max(heard_since, failing_since if failing_since is not None else float("inf"))
        replicas = view.replicas_of(primary)
        answering = tuple(tablet for tablet in replicas if tablet.is_current)
        was_heard = [t.status_at is not None and t.status_at >= since for t in answering]
        return cls(
            replicas=replicas,
            answering=answering,
            receiving=tuple(tablet for tablet in answering if tablet.is_receiving),
            outdated=tuple(t for t, heard in zip(answering, was_heard, strict=True) if not heard),
            reconnecting=tuple(t for t, heard in zip(answering, was_heard, strict=True) if heard and _is_connecting(t)),
        )

    def tried_in_vain(self, since: float, *, within: float) -> tuple[TabletView, ...]:
        """Return the replicas that have tried to connect for `within` seconds since `since` and got no answer at all.

        Empty, if any replica received something since: a server that still streams lives, however slow its greeting is.
        A refusal is an answer: a server that is full, or does not know the user, lives.
        """
        advances = (t.memory.last_advance_at for t in self.answering)
        if any(advance is not None and advance > since for advance in advances):
            return ()
        return tuple(t for t in self.reconnecting if got_no_answer(t) and (t.status_at or 0.0) - since >= within)

    def shut_out_since(self, since: float) -> tuple[TabletView, ...]:
        """Return the replicas that lost their connection after `since` and cannot connect again, as no server answers.

        Empty if any replica received something after one of them had failed, or if a server refused one.
        """
        lost = [t for t in self.failed_to_connect if (t.memory.not_receiving_since or since) > since]
        first = min((t.memory.not_receiving_since or since for t in lost), default=since)
        advances = (t.memory.last_advance_at for t in self.answering)
        if any(advance is not None and advance > first for advance in advances):
            return ()
        return tuple(lost)

    def quiet(self, *, within: float) -> tuple[TabletView, ...]:
        """Return the replicas that still count as connected and, by their answers, got no event for `within` seconds.

        A connection to a host that fell silent looks alive for as long as `replica_net_timeout` says.
        """
        return tuple(t for t in self.receiving if _is_quiet(t, within))

    def without_greeting(self, *, within: float) -> tuple[TabletView, ...]:
        """Return the replicas that have tried to connect for `within` seconds, and no server spoke to them."""
        return tuple(
            t
            for t in self.unanswered
            if (since := t.memory.not_receiving_since) is not None and (t.status_at or since) - since >= within
        )

    @property
    def unanswered(self) -> tuple[TabletView, ...]:
        """Those of `reconnecting` that no server spoke to, as far as their errors tell; a server that refuses lives."""
        return tuple(t for t in self.reconnecting if got_no_answer(t))

    @property
    def failed_to_connect(self) -> tuple[TabletView, ...]:
        """The replicas that failed to connect, if no server spoke to any of them; empty otherwise.

        A server that refuses one of them (it is full, or does not know the user) lives.
        """
        failed = tuple(t for t in self.reconnecting if _failed_to_connect(t))
        return failed if all(got_no_answer(t) for t in failed) else ()

    def may_reconnect(self, now: float, *, within: float) -> tuple[TabletView, ...]:
        """Return the replicas that may yet reach the primary.

        They lost their connection, or were stopped, less than `within` seconds ago, and have not failed to connect
        since.
        """
        return tuple(
            t
            for t in self.answering
            if (since := t.memory.not_receiving_since) is not None
            and now - since < within
            and not _failed_to_connect(t)
        )

    @property
    def are_broken(self) -> bool:
        """Whether any replica that answers does not replicate as it should."""
        statuses = (t.status.replication for t in self.answering if t.status is not None)
        return any(replication is not None and not replication.is_replicating for replication in statuses)

    def as_text(self) -> dict[str, str]:
        """Return the evidence as text for operators."""
        return {
            "replicas": names(self.replicas),
            "reachable_replicas": names(self.answering),
            "receiving_replicas": names(self.receiving),
            "replicas_to_hear_again": names(self.outdated),
        }


def names(tablets: Iterable[TabletView]) -> str:
    """Return the aliases of tablets as a sentence lists them."""
    return alias_list(tablet.alias for tablet in tablets)


def declared_primaries(tablets: Collection[TabletView], *, answer: bool = True) -> str:
    """Return that tablets are primary by their own account, so that their records may be late, as a clause.

    `answer` is whether that is their last answer, and they have not failed since.
    """
    is_one = len(tablets) == 1
    they, them, whose = ("it", "itself", "its record") if is_one else ("they", "themselves", "their records")
    verb, when = ("declares" if is_one else "declare", "") if answer else ("declared", f" when {they} last answered")
    return f"{names(tablets)} {verb} {them} primary{when}, so {whose} may be late"


def got_no_answer(tablet: TabletView) -> bool:
    """Whether no server spoke to its IO thread when that last failed, or it has not failed yet."""
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is None or replication.got_no_answer


def _is_quiet(tablet: TabletView, within: float) -> bool:
    read_at, heard_at = tablet.memory.last_read_at, tablet.status_at
    return read_at is not None and heard_at is not None and heard_at - read_at >= within


def _failed_to_connect(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and bool(replication.last_io_error) and _is_connecting(tablet)


def _is_connecting(tablet: TabletView) -> bool:
    replication = tablet.status.replication if tablet.status is not None else None
    return replication is not None and replication.io_state is ThreadState.CONNECTING
