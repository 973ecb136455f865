"""Vitess' codes that sum up a primary and its replicas, for dashboards and alerts that match on them.

vtorc itself decides by findings about each tablet. A code here is told beside them, and no decision depends on it.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from vtorc.core.detection.problems import Code
from vtorc.server.today.known import KnownTablet

Condition = Callable[[KnownTablet, Collection[str]], bool]
"""Returns whether a code holds for a tablet; the texts are the codes of vtorc's findings about it."""

_NO_ACKS = {Code.SHARD_TAKES_NO_WRITES.value, Code.PRIMARY_SEMI_SYNC_BLOCKED.value}
"""Findings that say that commits wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One of these codes, as it holds for a tablet."""

    code: str
    """The code in Vitess' spelling."""
    priority: int
    """Its number in Vitess: 0 concerns the whole shard, 4 is low."""
    description: str
    """The evidence, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SummaryTraits:
    """One row of the table of these codes."""

    priority: int
    """Its number in Vitess: 0 concerns the whole shard, 4 is low."""
    phrase: str
    """The evidence, as the end of a sentence about the tablet."""
    holds: Condition
    """Whether it holds for a tablet without a source, of which vtorc has findings of these codes."""


def summaries(known: KnownTablet, codes: Collection[str]) -> list[Summary]:
    """Return the codes that hold for a tablet without a source; `codes` are those of vtorc's findings about it."""
    if known.mysql is None or known.has_source:
        return []
    return [
        Summary(code=code, priority=traits.priority, description=f"{known.tablet.alias} {traits.phrase}")
        for code, traits in SUMMARIES.items()
        if traits.holds(known, codes)
    ]


def _is_incapacitated(known: KnownTablet, codes: Collection[str]) -> bool:
    return known.tablet.is_primary and not known.is_valid and Code.UNSTABLE_TABLET.value in codes


def _lags_unreached(known: KnownTablet, codes: Collection[str]) -> bool:
    del codes
    delayed = sum(bool(replica.replication.delay_seconds) for replica in known.replicas)
    return (
        not known.is_valid
        and any(replica.is_replicating for replica in known.valid_replicas)
        and all(replica.is_lagging for replica in known.replicas)
        and delayed < len(known.replicas)
    )


def _lacks_acks(known: KnownTablet) -> bool:
    told = known.semi_sync
    needed = told.wait_for_replica_count or 0
    return known.is_valid and bool(told.waits) and bool(told.is_waiting) and (told.clients or 0) < needed


def _is_locked(known: KnownTablet, codes: Collection[str]) -> bool:
    return _lacks_acks(known) and not _NO_ACKS.isdisjoint(codes)


def _may_be_locked(known: KnownTablet, codes: Collection[str]) -> bool:
    return _lacks_acks(known) and _NO_ACKS.isdisjoint(codes)


def _none_replicates(*, one: bool, all_answer: bool, some_answer: bool) -> Condition:
    """Return the condition that no replica of a primary that answers replicates, by how many replicas there are and
    answer."""

    def holds(known: KnownTablet, codes: Collection[str]) -> bool:
        del codes
        count, valid = len(known.replicas), known.valid_replicas
        if not known.is_valid or not count or (count == 1) != one or any(each.is_replicating for each in valid):
            return False
        return (len(valid) == count) == all_answer and bool(valid) == some_answer

    return holds


SUMMARIES: Mapping[str, SummaryTraits] = {
    "IncapacitatedPrimary": SummaryTraits(
        priority=0,
        phrase="is the primary, comes and goes, and does not answer now",
        holds=_is_incapacitated,
    ),
    "UnreachablePrimaryWithLaggingReplicas": SummaryTraits(
        priority=3,
        phrase="does not answer, and all its replicas lag",
        holds=_lags_unreached,
    ),
    "LockedSemiSyncPrimary": SummaryTraits(
        priority=3,
        phrase="has commits that wait for more replicas than acknowledge",
        holds=_is_locked,
    ),
    "LockedSemiSyncPrimaryHypothesis": SummaryTraits(
        priority=3,
        phrase="waits for more replicas than acknowledge",
        holds=_may_be_locked,
    ),
    "PrimarySingleReplicaNotReplicating": SummaryTraits(
        priority=3,
        phrase="has one replica, which does not replicate",
        holds=_none_replicates(one=True, all_answer=True, some_answer=True),
    ),
    "PrimarySingleReplicaDead": SummaryTraits(
        priority=3,
        phrase="has one replica, which does not answer",
        holds=_none_replicates(one=True, all_answer=False, some_answer=False),
    ),
    "AllPrimaryReplicasNotReplicating": SummaryTraits(
        priority=4,
        phrase="has replicas that all answer, and none replicates",
        holds=_none_replicates(one=False, all_answer=True, some_answer=True),
    ),
    "AllPrimaryReplicasNotReplicatingOrDead": SummaryTraits(
        priority=4,
        phrase="has replicas of which some answer, and none replicates",
        holds=_none_replicates(one=False, all_answer=False, some_answer=True),
    ),
}
"""The codes by Vitess' spelling, in the order of Vitess."""
