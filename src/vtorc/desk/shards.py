"""The shards that requests name: found, and free for a command."""

from vtorc.control.facade import FleetFacade
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.ids import ShardId
from vtorc.core.facts.views import ShardView
from vtorc.desk.clearance import unknown_shard
from vtorc.desk.problems import DeskRefusal


def view_of(fleet: FleetFacade, shard: ShardId) -> ShardView:
    """Return what is known of a shard; raises DeskRefusal if it is not watched."""
    view = fleet.view(shard)
    if view is None:
        raise unknown_shard(shard)
    return view


def why_not_changed(policy: DurabilityPolicy | None, *, controlled: bool) -> str | None:
    """Return why nothing is changed in a shard, whatever is asked for; None if it may be."""
    if policy is None:
        return "every change needs a durability policy that vtorc knows; set one with SetKeyspaceDurabilityPolicy"
    if not controlled:
        return "the shard is not among the clusters to watch; ask the vtorc that acts on it"
    return None


def check_free(fleet: FleetFacade, shard: ShardId) -> None:
    """Raise DeskRefusal if a recovery of the shard is in progress."""
    if (under_way := fleet.under_way(shard)) is not None:
        raise DeskRefusal(
            409,
            what=str(shard),
            why=f"a recovery is in progress: {under_way.sentence}",
            do="wait until it has ended, and ask again",
        )
