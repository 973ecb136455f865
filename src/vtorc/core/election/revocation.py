"""Whether anybody can still get a write acknowledged, or got one that nobody whom we reached has: rule 1 of an election
(`vtorc.core.election.choice`).
"""

from collections.abc import Iterable

from vtorc.core.election.ack_arithmetic import Revocation, could_have_acknowledged, who_must_be_reached
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.unseen_promotions import unknown_tablets, who_may_write
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule
from vtorc.core.facts.ids import TabletAlias


def unrevoked(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Who may still get, or may have got, an acknowledgement that we know nothing of; empty if nobody.

    Where the policy asks for none, who is missing so that it may be us who are cut off from the others.
    """
    return (
        unknown_tablets(candidates.never_read_cells)
        or _still_writing(candidates, policy)
        or _unseen_promotion_writing(candidates, policy)
    )


def _still_writing(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    if candidates.first_term:
        return ""
    if not policy.has_semi_sync:
        return _cut_off(candidates, policy)
    primary, members, reached = candidates.primary_member, candidates.members, candidates.accounted_for
    seen = candidates.semi_sync
    revocation = could_have_acknowledged(policy, primary, members=members, reached=reached, seen=seen)
    if revocation.is_revoked:
        return _followers_of_strangers(candidates)
    if candidates.primary is None:
        missing = (acker.alias for quorum in revocation.open for acker in quorum.ackers)
        return (
            f"the last primary is unknown; {names(missing)} was not reached and may have acknowledged its writes"
            f"{_who_cannot_be_read(candidates, revocation)}"
        )
    must = who_must_be_reached(policy, primary, members=members, reached=reached, seen=seen)
    return (
        f"{revocation}, and may have been already; to exclude that, reach {must}"
        f"{_who_cannot_be_read(candidates, revocation)}{_how_to_wait_for_ever(revocation)}"
    )


def _unseen_promotion_writing(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Who may have been promoted unseen.

    Without acknowledgements one who may have taken over from a primary that does not answer is no worse than that
    primary: nothing stops either, and `_cut_off` has weighed who is missing. To demand more would leave a shard whose
    primary was lost with a second tablet of its cell without a primary until the cell is back.
    """
    if not policy.has_semi_sync and candidates.primary is not None and candidates.primary not in candidates.stopped:
        return ""
    members, reached = candidates.members, candidates.accounted_for
    return who_may_write(
        policy, candidates.unseen_promotions, members=members, reached=reached, seen=candidates.semi_sync
    )


def _who_cannot_be_read(candidates: CandidateSet, revocation: Revocation) -> str:
    """What to do about possible ackers that cannot be asked, because nobody knows where they are.

    A record's path tells its tablet's name and so its cell, nothing else: it may be a REPLICA that acknowledges, unless
    the policy wants no acknowledgements from that cell.
    """
    ackers = {acker.alias for quorum in revocation.open for acker in quorum.ackers} & candidates.unreadable
    return "".join(
        f"; the tablet record of {alias} cannot be read, so it is taken for one that acknowledges: repair the record, "
        f"or remove it if there is no such tablet (vtctldclient DeleteTablets {alias}; where that cannot read it "
        f"either, delete tablets/{alias}/Tablet with the tools of cell {alias.cell}'s topology server)"
        for alias in sorted(ackers)
    )


def _how_to_wait_for_ever(revocation: Revocation) -> str:
    """What to do about a timeout of semi-sync, against the next time."""
    if all(quorum.ack_timeout is None for quorum in revocation.open):
        return ""
    return (
        "; a forced promotion (EmergencyReparentShard) may lose writes that clients take for safe; so that the next "
        "primary can be replaced without that, set rpl_semi_sync_source_timeout to 1000000000000000000 on all tablets, "
        "as Vitess does"
    )


def _followers_of_strangers(candidates: CandidateSet) -> str:
    """Who replicates from a server that was not reached and is neither the primary nor a former one.

    That one may have become primary without the topology server having heard of it; and who was re-pointed has
    dropped its relay log, with what it had acknowledged, because its new source had it. The primary itself follows
    nobody unless it was replaced, by a former one perhaps.
    """
    if not candidates.primary_uuids:
        return ""
    reached = {stopped.server_uuid for stopped in candidates.stopped.values()} | {""}
    known = reached | candidates.primary_uuids | candidates.former_uuids
    followers = sorted(
        alias
        for alias, stopped in candidates.pool.items()
        if stopped.source_uuid not in (reached if alias == candidates.primary else known)
    )
    if not followers:
        return ""
    source, primary = candidates.stopped[followers[0]].source_uuid, candidates.primary
    how = "is no longer primary but replicates" if followers[0] == primary else f"does not replicate from {primary} but"
    return (
        f"{names(followers)} {how} from server {source}, which may have become primary and was not reached; if that "
        f"server does not belong to this shard, change the tablet's type to DRAINED"
    )


def _cut_off(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Without acknowledgements nothing stops a primary that only we cannot reach: most of the others must be with us.

    Vitess asks for all of them (`haveRevoked`); a majority is what two halves of a network cannot both have.
    """
    if candidates.primary in candidates.stopped:
        return ""
    others = {
        m.alias
        for m in candidates.members
        if m.alias != candidates.primary and policy.promotion_rule(m) is not PromotionRule.MUST_NOT
    }
    missing = others - candidates.accounted_for
    if not missing or 2 * len(missing) < len(others):
        return ""
    return (
        f"{names(missing)} of the {len(others)} tablets that could become primary was not reached, so vtorc itself "
        f"may be cut off, and the policy {policy.name} does not stop a primary that vtorc cannot reach"
    )


def names(aliases: Iterable[TabletAlias]) -> str:
    """List tablets in a sentence."""
    return ", ".join(str(alias) for alias in sorted(aliases)) or "none"
