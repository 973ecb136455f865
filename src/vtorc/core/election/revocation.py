"""Whether any server can still get a write acknowledged, or got one that no reached tablet has: rule 1 of an election
(`vtorc.core.election.choice`).
"""

from vtorc.core.election.ack_arithmetic import Revocation, could_have_acknowledged, tablets_to_reach
from vtorc.core.election.candidates import CandidateSet
from vtorc.core.election.unseen_promotions import possible_unseen_writer, unknown_tablets
from vtorc.core.facts.durability import DurabilityPolicy, PromotionRule
from vtorc.core.facts.ids import alias_list

_JUST_STARTED = (
    "; but vtorc began to watch this shard moments before the loss, and had not yet seen each replica at work: if "
    "every replica has a tablet record and answers, there is no such mysqld, and vtorc ctl force promotes one of them"
)


def unrevoked(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Say which server may still get, or may have got, an acknowledgement that no reached tablet knows of.

    Empty if none can. Where the policy asks for no acknowledgements, say which tablets are missing, so that vtorc may
    be the one that is cut off.
    """
    return (
        unknown_tablets(candidates.never_read_cells)
        or _still_writing(candidates, policy)
        or _unseen_promotion_writing(candidates, policy)
    )


def _still_writing(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    if candidates.first_term:
        return _unseen_past(candidates, policy)
    if not policy.has_semi_sync:
        return _why_cut_off(candidates, policy)
    primary, members, reached = candidates.primary_member, candidates.members, candidates.accounted_for
    seen = candidates.semi_sync
    revocation = could_have_acknowledged(policy, primary, members=members, reached=reached, seen=seen)
    if revocation.is_revoked:
        return _replicas_of_unknown_servers(candidates)
    if candidates.primary is None:
        missing = (acker.alias for quorum in revocation.open for acker in quorum.ackers)
        return (
            f"the last primary is unknown; {alias_list(missing)} was not reached and may have acknowledged its writes; "
            f"bring back what was not reached or, if it is gone for good, promote a tablet by hand "
            f"(EmergencyReparentShard --new-primary)"
            f"{_what_to_do_about_bad_records(candidates, revocation)}"
        )
    must = tablets_to_reach(policy, primary, members=members, reached=reached, seen=seen)
    return (
        f"{revocation}, and may have been already; to exclude that, reach {must}"
        f"{_what_to_do_about_bad_records(candidates, revocation)}{_what_to_do_about_ack_timeout(revocation)}"
        f"{_why_not_reached(candidates, revocation)}{_why_protected(candidates)}"
        f"{_what_to_do_about_unknown_ackers(candidates, revocation)}"
    )


def _unseen_past(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Say which unreached tablets may be a primary and its ackers, although no record says so.

    The tablets that were reached are new. That proves nothing about the others if the topology server was restored.
    """
    members, reached = candidates.members, candidates.accounted_for
    if not policy.has_semi_sync:
        return ""
    revocation = could_have_acknowledged(policy, None, members=members, reached=reached)
    if not revocation.open:
        return ""
    must = tablets_to_reach(policy, None, members=members, reached=reached)
    return (
        f"no record names a primary, but the records may be older than the servers, and {revocation}; to exclude that, "
        f"reach {must}, or delete the records of tablets that are gone for good (vtctldclient DeleteTablets)"
    )


def _unseen_promotion_writing(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Say which tablet may have been promoted unseen and take writes; empty if none can.

    Without acknowledgements, a tablet that may have taken over from a silent primary is no worse than that primary.
    Neither can be stopped, and `_why_cut_off` has weighed the missing tablets. A cell may be lost with the primary and
    a second tablet in it. To demand more would leave the shard without a primary until that cell is back.
    """
    if not policy.has_semi_sync and candidates.primary is not None and candidates.primary not in candidates.stopped:
        return ""
    members, reached = candidates.members, candidates.accounted_for
    return possible_unseen_writer(
        policy, candidates.unseen_promotions, members=members, reached=reached, seen=candidates.semi_sync
    )


def _what_to_do_about_bad_records(candidates: CandidateSet, revocation: Revocation) -> str:
    """Say what to do about possible ackers that cannot be asked, because their records do not tell where they are.

    A record's path tells its tablet's name and so its cell, nothing else. The tablet may be a REPLICA that
    acknowledges, if the policy takes acknowledgements from that cell.
    """
    ackers = {acker.alias for quorum in revocation.open for acker in quorum.ackers} & candidates.unreadable
    return "".join(
        f"; the tablet record of {alias} cannot be read, so it is taken for one that acknowledges: repair the record, "
        f"or remove it if there is no such tablet (vtctldclient DeleteTablets {alias}; where that cannot read it "
        f"either, delete tablets/{alias}/Tablet with the tools of cell {alias.cell}'s topology server)"
        for alias in sorted(ackers)
    )


def _why_not_reached(candidates: CandidateSet, revocation: Revocation) -> str:
    """Say of each tablet that answers and does not count what became of the server that is missing."""
    missing = {member.alias for quorum in revocation.open for member in (quorum.primary, *quorum.ackers)}
    return "".join(f"; {how}" for alias, how in sorted(candidates.rebuilt.items()) if alias in missing)


def _why_protected(candidates: CandidateSet) -> str:
    if candidates.earlier_protection is None:
        return ""
    return (
        f"; the policy was changed, but {candidates.primary} waited for acknowledgements when it was last seen at "
        f"work; writes that were so acknowledged are not given up"
    )


def _what_to_do_about_ack_timeout(revocation: Revocation) -> str:
    """Say what to do about a timeout of semi-sync before the next primary is lost."""
    if all(quorum.ack_timeout is None for quorum in revocation.open):
        return ""
    return (
        "; a forced promotion (EmergencyReparentShard) may lose writes that clients take for safe; so that the next "
        "primary can be replaced without that, set rpl_semi_sync_source_timeout to 1000000000000000000 on all tablets, "
        "as Vitess does"
    )


def _what_to_do_about_unknown_ackers(candidates: CandidateSet, revocation: Revocation) -> str:
    """Say what to do about servers that acknowledge and have no tablet record, so that vtorc cannot stop them.

    A vtorc that has just started takes each replica for one until it has seen it at work. Operators searched for a
    server that did not exist.
    """
    return "".join(
        f"; {quorum.primary} counted more semi-sync clients than known tablets explain: find the mysqld that "
        f"replicates from it and has no tablet record, or a vttablet that cannot reach it; save the writes that it "
        f"alone holds, and then promote a tablet by hand (EmergencyReparentShard)"
        f"{_JUST_STARTED if quorum.primary.alias in candidates.semi_sync.assumed_unknown else ''}"
        for quorum in revocation.open
        if quorum.unknown
    )


def _replicas_of_unknown_servers(candidates: CandidateSet) -> str:
    """Say which tablets replicate from a server that was not reached; the primary and former ones are left out.

    That server may have become primary without the topology server having heard of it. A tablet that was re-pointed to
    it has dropped its relay log, with the writes that it had acknowledged, because its new source had them. The primary
    itself has no source unless it was replaced, by a former primary perhaps.

    A primary that a record names since a term, and that has no tablet record, was deleted by an operator. Its followers
    are no evidence of another primary. Where no record names a term, the records may have been lost with those of other
    tablets, that acknowledge.
    """
    has_record = any(member.alias == candidates.primary for member in candidates.members)
    if not candidates.primary_uuids and not has_record and candidates.newest_term:
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
    how = f"does not replicate from {primary} but"
    if primary is None:
        how = "replicates"
    elif followers[0] == primary:
        how = "is no longer primary but replicates"
    return (
        f"{alias_list(followers)} {how} from server {source}, which may have become primary and was not reached; if "
        "that server is gone for good, promote a tablet by hand (vtorc ctl force, or EmergencyReparentShard "
        "--new-primary); if it does not belong to this shard, change the tablet's type to DRAINED"
    )


def _why_cut_off(candidates: CandidateSet, policy: DurabilityPolicy) -> str:
    """Say that vtorc may be the one that is cut off; empty if it reached most of the tablets.

    A primary that needs no acknowledgements goes on writing where vtorc alone cannot reach it. So most of the other
    tablets have to be on the side of vtorc. Vitess asks for all of them (`haveRevoked`); two halves of a network cannot
    both have a majority.
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
        f"{alias_list(missing)} of the {len(others)} tablets that could become primary was not reached, so vtorc "
        f"itself may be cut off; the policy {policy.name} does not stop a primary that vtorc cannot reach"
    )
