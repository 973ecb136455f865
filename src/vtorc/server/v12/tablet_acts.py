"""Handlers that act on single instances: vtorc carries the command out under the shard lock, and records it."""

from collections.abc import Awaitable, Callable, Sequence

from vtorc.core.detection.recoveries import Recovery
from vtorc.server.v12.answers import Told, V12Error, key_of
from vtorc.server.v12.asking import ask, begin_and_wait, checked, news_of, reason_of
from vtorc.server.v12.call import Call
from vtorc.server.v12.clusters import Server
from vtorc.server.v12.instances import instance
from vtorc.server.v12.refusals import refused

Expected = Callable[[Server], bool]
"""Whether an instance is as a command leaves it."""


def _on_instance(
    command: Recovery, does: str, message: str, expected: Expected = lambda _: True
) -> Callable[[Call], Awaitable[Told]]:
    """Return the handler of a command on one instance, with `does` as its docstring.

    It answers with the instance as that is once it is as `expected`.
    """

    async def act(call: Call) -> Told:
        server = call.server()
        done = await _carry_out(call, command, server.shard.name, [server])
        now = await news_of(call, server.tablet.alias, expected)
        return Told(f"{message}: {server.address}. {done}", instance(now, call.silence))

    act.__doc__ = does
    return act


def _threads_run(server: Server) -> bool:
    return server.replicates


def _threads_stand(server: Server) -> bool:
    replication = server.tablet.replication
    return replication is not None and replication.io_thread == replication.sql_thread == "stopped"


start_replica = _on_instance(
    Recovery.START_REPLICATION, "Start both replication threads of an instance.", "Replica started", _threads_run
)
restart_replica = _on_instance(
    Recovery.RESTART_REPLICATION,
    "Stop both replication threads of an instance and start them again.",
    "Replica restarted",
    _threads_run,
)
stop_replica = _on_instance(
    Recovery.STOP_REPLICATION,
    "Stop both replication threads of an instance; a hold keeps them stopped for an hour, or until they are started.",
    "Replica stopped",
    _threads_stand,
)
stop_replica_nicely = _on_instance(
    Recovery.STOP_REPLICATION_NICELY,
    "Have an instance apply its relay log, then stop both replication threads under such a hold.",
    "Replica stopped nicely",
    _threads_stand,
)
set_read_only = _on_instance(
    Recovery.SET_READ_ONLY,
    "Turn read_only on; for replicas only.",
    "Server set as read-only",
    lambda server: server.tablet.read_only is True,
)
flush_binary_logs = _on_instance(
    Recovery.FLUSH_BINARY_LOGS, "Have an instance begin a new binary log.", "Binary logs flushed"
)


async def relocate(call: Call) -> Told:
    """Make an instance replicate from the primary of its shard; raises V12Error for any other source."""
    server, source = call.server(), call.server("belowHost", "belowPort")
    _check_source(call, source, server.shard.name)
    done = await _carry_out(call, Recovery.REPARENT_TABLET, server.shard.name, [server])
    now = await news_of(call, server.tablet.alias, lambda each: each.source == source.address)
    return Told(
        f"Instance {server.address} relocated below {source.address}. {done}",
        instance(now, call.silence),
    )


async def relocate_replicas(call: Call) -> Told:
    """Make the replicas of an instance replicate from the primary of its shard; return them."""
    return await _relocate_replicas_of(call, call.server("belowHost", "belowPort"))


async def repoint_replicas(call: Call) -> Told:
    """Make the replicas of a primary replicate from it as they should; return them."""
    return await _relocate_replicas_of(call, call.server())


async def _relocate_replicas_of(call: Call, source: Server) -> Told:
    server = call.server()
    _check_source(call, source, server.shard.name)
    cluster = call.cluster()
    replicas = [
        each for each in cluster.servers if each.source == server.address and each.tablet.alias != source.tablet.alias
    ]
    if not replicas:
        return Told(f"{server.address} has no replicas to relocate", [])
    done = await _carry_out(call, Recovery.REPARENT_TABLET, server.shard.name, replicas)
    now = [await news_of(call, each.tablet.alias, lambda found: found.source == source.address) for each in replicas]
    return Told(
        f"Relocated {len(replicas)} replicas of {server.address} below {source.address}. {done}",
        [instance(each, call.silence) for each in now],
    )


async def discover(call: Call) -> Told:
    """Have vtorc ask an instance now, and return it."""
    server = await _asked_now(call)
    return Told(f"Instance discovered: {server.address}", instance(server, call.silence))


async def refresh(call: Call) -> Told:
    """Have vtorc ask an instance now, and return its key."""
    server = await _asked_now(call)
    return Told(f"Instance refreshed: {server.address}", key_of(server.address))


async def discover_asynchronously(call: Call) -> Told:
    """Have vtorc ask an instance now; v12 gives no result."""
    return Told(f"Asynchronous discovery initiated for: {(await _asked_now(call)).address}")


async def _asked_now(call: Call) -> Server:
    server = call.server()
    arguments: dict[str, object] = {"shard": server.shard.name, "tablets": [server.tablet.alias]}
    checked(await ask(call, "probe", arguments))
    return call.tools.book.now.of_tablet(server.tablet.alias)


async def _carry_out(call: Call, command: Recovery, shard: str, servers: Sequence[Server]) -> str:
    """Have vtorc carry a command out, and return what it did in words; raises V12Error if it did not succeed."""
    arguments: dict[str, object] = {
        "shard": shard,
        "command": command.value,
        "tablets": [server.tablet.alias for server in servers],
        "reason": reason_of(call),
    }
    record = await begin_and_wait(call, shard, "command", arguments)
    if not record.succeeded:
        raise V12Error(record.sentence)
    return record.sentence


def _check_source(call: Call, source: Server, shard: str) -> None:
    """Raise V12Error unless an instance is the primary of that shard: vtorc would undo any other source."""
    if source.shard.name == shard and source.tablet.is_primary:
        return
    cluster = call.clusters.of_shard(shard)
    primary = cluster.primary if cluster is not None else None
    raise refused(
        call.path.partition("/")[0],
        f"{source.address} is not the primary of {shard}"
        f" ({primary.address if primary is not None else 'which has none now'}), and each replica of a shard"
        " replicates from its primary; to make another instance the primary use graceful-primary-takeover",
    )
