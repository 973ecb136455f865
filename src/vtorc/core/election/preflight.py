"""Whether an election is refused whatever tablets hold, so that none need be stopped to find that out."""

from dataclasses import replace

from vtorc.core.election.candidate_evidence import as_if_stopped, candidate_set
from vtorc.core.election.choice import Refusal, certain_refusal
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.gtid import EMPTY_GTID_SET
from vtorc.core.facts.views import ShardView


def preflight(view: ShardView, policy: DurabilityPolicy, *, same_cell_only: bool) -> Refusal | None:
    """Refuse if the tablets that answer now are too few, whatever they hold; None if that decides.

    `view` is of a shard that has lost its primary.
    """
    seen = candidate_set(view, policy, as_if_stopped(view), same_cell_only=same_cell_only)
    unread = {
        alias: replace(each, executed=EMPTY_GTID_SET, received=EMPTY_GTID_SET) for alias, each in seen.stopped.items()
    }
    return certain_refusal(replace(seen, stopped=unread), policy)
