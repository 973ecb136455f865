"""Which tablets may have acknowledged writes of the last primary although the durability policy does not ask it of them
now.

Records and settings tell how a tablet is now. An election goes by how it was while the primary lived. A replica
may have acknowledged alone for a while, before an operator drained it or took a backup from it. It then holds writes
that no other tablet has.

A vtorc that was just started does not know how a tablet was. So it takes the tablet for one that acknowledged until it
was first read and heard. A restarted vtorc once promoted a replica without 236 writes that a drained tablet held.

A silent tablet is taken to be as it was last heard while known tablets explain all clients of the primary. Its MySQL
goes on without its tablet manager, and may have become a client since.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from vtorc.core.election.last_primary import LastPrimary
from vtorc.core.election.unexplained_ackers import SETTLED, counted_without, lost_since, silent_clients
from vtorc.core.facts.durability import DurabilityPolicy, Member
from vtorc.core.facts.ids import TabletAlias, TabletType
from vtorc.core.facts.tablet_memory import ReplacedServer
from vtorc.core.facts.views import ShardView, TabletView


@dataclass(frozen=True, slots=True, kw_only=True)
class PastAckers:
    """Looks back at the time of one primary.

    The writes that a tablet acknowledged before the primary was last seen at work, the primary had executed by then. If
    the stopped tablets have received all of that, the tablet need not be asked any more.
    """

    view: ShardView
    """The shard as it is known now."""
    policy: DurabilityPolicy
    """The policy that says which tablets should acknowledge."""
    primary: LastPrimary
    """The primary that is looked back at."""
    is_matched: bool
    """Whether the stopped tablets have received all that the primary had executed when it was last seen at work."""

    def past_ackers(self) -> frozenset[TabletAlias]:
        """Return the tablets that may have acknowledged, and do not have to by the policy.

        They may by their own side of semi-sync, which is all that MySQL goes by, or by the type that they had.
        """
        return frozenset(
            t.alias for t in self._others() if not self._may_ack(t.record.type, t) and self._is_past_acker(t)
        )

    def silent(self) -> frozenset[TabletAlias]:
        """Return the tablets that the policy asks to acknowledge and that had their side of semi-sync off. The stopped
        tablets hold all that these acknowledged before.
        """
        return frozenset(t.alias for t in self._others() if self._may_ack(t.record.type, t) and self._is_silent(t))

    def _is_silent(self, tablet: TabletView) -> bool:
        if self._may_be_silent_client(tablet):
            return False
        memory, until = tablet.memory, tablet.memory.may_ack_until
        return self._is_settled(max(memory.unknown_until, memory.unheard_until, -math.inf if until is None else until))

    def rebuilt(self) -> Mapping[TabletAlias, str]:
        """Return the tablets that may have acknowledged and were rebuilt since, and so may have lost those writes; each
        with a sentence that tells how.
        """
        found = ((t.alias, self._how_replaced(t) or self._how_restored(t)) for t in self._others())
        return {alias: how for alias, how in found if how}

    def _others(self) -> tuple[TabletView, ...]:
        return tuple(tablet for tablet in self.view.tablets if tablet.alias != self.primary.alias)

    def _may_ack(self, kind: TabletType, tablet: TabletView) -> bool:
        return self.policy.may_ack(self.primary.tablet.member, Member(tablet.alias, kind))

    def _acking_types_gone_at(self, tablet: TabletView) -> list[float]:
        """Return when the tablet ceased to have each type by which it was to acknowledge."""
        return [former.gone_at for kind, former in tablet.memory.former_types.items() if self._may_ack(kind, tablet)]

    def _is_past_acker(self, tablet: TabletView) -> bool:
        ended, until = self._acking_types_gone_at(tablet), tablet.memory.may_ack_until
        ended.append(tablet.memory.unknown_until)
        if until == math.inf:
            if _tells_no_source(tablet) or self.view.replicates_from(tablet, self.primary.tablet):
                return True
            ended += _pointed_elsewhere_at(tablet)
        elif until is not None:
            ended.append(until)
        if self._was_drained_since(tablet):
            return False
        return self._may_be_silent_client(tablet) or not self._is_settled(max(ended))

    def _may_be_silent_client(self, tablet: TabletView) -> bool:
        return tablet.alias in silent_clients(self.view, self.primary.alias)

    def _was_drained_since(self, tablet: TabletView) -> bool:
        """Whether it was drained after the primary was lost: so an operator says that its transactions are not
        wanted. To take or restore a backup says nothing of the kind.
        """
        since = lost_since(self.view, self.primary.tablet)
        if tablet.record.type is not TabletType.DRAINED or since is None:
            return False
        found_at = (former.last_found_at for former in tablet.memory.former_types.values())
        return max(found_at, default=-math.inf) >= since

    def _how_restored(self, tablet: TabletView) -> str:
        ended = self._acking_types_gone_at(tablet)
        restored = tablet.memory.former_types.get(TabletType.RESTORE)
        if tablet.record.type is TabletType.RESTORE:
            is_restored = bool(ended) and not self._is_settled(max(ended))
        else:
            is_restored = restored is not None and any(
                at <= restored.gone_at and not self._is_settled(at) for at in ended
            )
        return f"{tablet.alias} was restored from a backup after it may have acknowledged" if is_restored else ""

    def _how_replaced(self, tablet: TabletView) -> str:
        """Say that the server which may have acknowledged under this alias is gone, and another one in its place."""
        replaced = tablet.memory.replaced_servers.items()
        gone = {uuid: server for uuid, server in replaced if not self._is_settled(self._acked_until(tablet, server))}
        if not gone or not (self._may_ack(tablet.record.type, tablet) or self._is_past_acker(tablet)):
            return ""
        before = max(gone, key=lambda uuid: gone[uuid].gone_at)
        return (
            f"{tablet.alias} is server {tablet.memory.server_uuid} now, and what server {before} acknowledged under "
            f"that alias before may be on no other; start that server's data directory again"
        )

    def _acked_until(self, tablet: TabletView, server: ReplacedServer) -> float:
        """Return until when a server that is gone may have acknowledged.

        Its tablet manager said that it was down, and may have lost its socket only. So the primary must have counted
        its clients without it since.

        If the tablet manager said nothing, counts alone prove nothing. A server that was only cut off connects again by
        itself. It may acknowledge after the last count, and the primary may end before the next. A MySQL that was down
        replicates again only once its tablet manager has put that right.
        """
        until = server.acked_until
        if until is None or not counted_without(self.view, tablet, self.primary.alias, down_since=until + SETTLED):
            return server.gone_at
        return until

    def _is_settled(self, moment: float) -> bool:
        """Whether the stopped tablets hold all that was acknowledged until then; minus infinity if nothing was."""
        if moment == -math.inf:
            return True
        term = self.primary.observed_term
        return term is not None and moment + SETTLED <= term.seen_at and self.is_matched


def _tells_no_source(tablet: TabletView) -> bool:
    """Whether its last answer leaves open which server it follows; so does one of a stalled disk."""
    return tablet.status is None or bool(tablet.status.disk_stalled)


def _pointed_elsewhere_at(tablet: TabletView) -> list[float]:
    """Return when a tablet that follows another server was first seen to: until then it may have acknowledged."""
    span = tablet.memory.client_span
    seen = (tablet.memory.not_receiving_since, span.seen_from if span is not None else None)
    return [at for at in seen if at is not None]
