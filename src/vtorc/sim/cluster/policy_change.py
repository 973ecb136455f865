"""An operator changes the durability policy of a keyspace while its shards work (SetKeyspaceDurabilityPolicy)."""

from dataclasses import replace

from vtorc.core.facts.durability import POLICY_NAMES, policy
from vtorc.proto import topodata_pb2
from vtorc.sim.cluster.topo import ROOT, at_once
from vtorc.sim.cluster.world import World
from vtorc.topo import paths


def change_policy(world: World, keyspace: str, name: str) -> None:
    """Write the policy into the keyspace's record, and let all that checks the shards know.

    The model knows one policy for a whole path, so its comparison ends here. A name that no policy has promises nothing
    new: what was promised before stays promised.
    """
    store = world.topos["global"].store
    key = f"{ROOT}/global/{paths.keyspace(keyspace)}"
    row = at_once(store.get(key))
    record = topodata_pb2.Keyspace.FromString(row.contents)
    record.durability_policy = name
    at_once(store.put(key, record.SerializeToString(deterministic=True), row.version))
    for shard in world.shards.values():
        if shard.id.keyspace == keyspace and name in POLICY_NAMES:
            shard.plan = replace(shard.plan, durability=name)
            shard.ledger.policy_changed(requires_acks=policy(name).has_semi_sync)
            shard.recording.end()
