"""An operator changes the durability policy of a keyspace while its shards work (SetKeyspaceDurabilityPolicy)."""

import asyncio
from dataclasses import replace

from vtorc.core.facts.durability import POLICY_NAMES, policy
from vtorc.proto import topodata_pb2
from vtorc.sim.cluster.topo import ROOT, at_once
from vtorc.sim.cluster.world import SimShard, World
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
            if shard.ledger.untold:
                world.spawn(_look_for_untold(world, shard), "look for the untold")


async def _look_for_untold(world: World, shard: SimShard) -> None:
    """Look each second which servers a vtorc could have told of a policy by now, until all are bound by it.

    Before any primary waits, the one that takes writes may have too few ackers to be told to.
    """
    while shard.ledger.untold:
        await asyncio.sleep(1.0)
        for tablet in shard.tablets:
            mysqld = tablet.mysqld
            in_reach = shard.ledger.requires_acks and world.can_be_told(mysqld)
            if shard.ledger.untold.looked(mysqld, in_reach=in_reach, now=world.now):
                world.checker.writability_changed(mysqld)
