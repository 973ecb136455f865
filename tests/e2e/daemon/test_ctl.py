"""`vtorc ctl` against a real daemon on a real shard."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.daemon.ctl import COMMAND, Ctl
from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard, acknowledged
from tests.e2e.daemon.watching import PATIENCE, until
from tests.e2e.demo.terminal import terminal
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.lab.vtorc_process import VtorcProcess

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shard() -> AsyncIterator[Shard]:
    """Give a shard over a topology file."""
    async with LabCluster(LabSpec(topo="local")) as cluster:
        yield Shard(cluster)


@pytest_asyncio.fixture(loop_scope="module")
async def daemons(shard: Shard) -> AsyncIterator[Daemons]:
    """Start vtorcs on a shard that is well; they are killed in the end."""
    async with daemons_of(shard.cluster) as daemons:
        await shard.mended(daemons)
        yield daemons


async def started(daemons: Daemons) -> tuple[VtorcProcess, Ctl]:
    """Start a vtorc that serves at a free port, and wait until `vtorc ctl` finds the shard well."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
    ctl = Ctl(f"http://{line['address']}")

    async def why_not() -> str:
        told = await ctl("status")
        return "" if told.code == 0 and "the shard is healthy" in told.text else f"{told}"

    await until(why_not)
    return vtorc, ctl


async def test_a_healthy_shard_is_told_in_every_view(shard: Shard, daemons: Daemons) -> None:
    """Status, list, tree and reasons agree with the servers, and each command ends with 0."""
    vtorc, ctl = await started(daemons)
    primary = await shard.primary()
    name = str(shard.id)

    assert f"vtorc 0.1.0 at {ctl.server}, process {vtorc.pid}, since" in (await ctl("status")).text

    async def why_not_ready() -> str:
        listed = await ctl("shards")
        return "" if f"healthy {name} {primary.alias} 0 s 2, needs 1 yes yes" in listed.text else f"{listed}"

    await until(why_not_ready)
    assert (await ctl("shards")).code == 0

    tree = await ctl("topology", name)
    assert (tree.code, tree.notes) == (0, "")
    assert f"{primary.alias} PRIMARY writable" in tree.text
    for replica in await shard.replicas():
        assert f"- {replica.alias} REPLICA io, sql running" in tree.text

    why = await ctl("why", name)
    assert (why.code, why.notes) == (0, "")
    assert why.text.startswith(f"{name} ● healthy")
    assert "Readiness" in why.text

    unknown = await ctl("why", "commerce/7")
    assert (unknown.code, unknown.text) == (2, "")
    assert "commerce/7" in unknown.notes


async def test_the_primary_moves_when_an_operator_promotes(shard: Shard, daemons: Daemons) -> None:
    """A plan changes nothing; promote ends with 0 once the named tablet takes the writes, and recoveries tell why."""
    _, ctl = await started(daemons)
    old = await shard.primary()
    new = (await shard.replicas())[0]
    name = str(shard.id)
    async with shard.written_to() as writer:
        plan = await ctl("plan", name, "--to", str(new.alias))
        assert (plan.code, plan.notes) == (0, "")
        assert f"would move the primary from {old.alias} to {new.alias}" in plan.text
        assert await shard.primary() is old

        moved = await ctl("promote", name, "--to", str(new.alias), "--yes", "--reason", "a drill at noon")
        assert (moved.code, moved.notes) == (0, "")
        assert f"promoted {new.alias} as planned" in moved.text
        await acknowledged(writer, 20, by=new)
        assert await shard.well() is new
        assert await writer.missing(new) == []

    code, told = await ctl.json("recoveries", "--shard", name)
    assert code == 0
    latest = told["items"][0]
    assert (latest["kind"], latest["outcome"], latest["winner"], latest["reason"]) == (
        "PlannedReparentShard",
        "succeeded",
        str(new.alias),
        "a drill at noon",
    )
    recovery = await ctl("recovery", latest["id"])
    assert recovery.code == 0
    assert "a drill at noon" in recovery.text
    assert f"demote primary on {old.alias}: done" in recovery.text


async def test_a_plan_is_refused_once_the_primary_was_killed(shard: Shard, daemons: Daemons) -> None:
    """A yes to a plan that was shown before the death of the primary ends with 1, and vtorc replaces the primary."""
    vtorc, ctl = await started(daemons)
    old = await shard.primary()
    asked_for = (await shard.replicas())[0]
    words = ("promote", str(shard.id), "--to", str(asked_for.alias), "--reason", "a drill too late")
    with terminal() as screen:
        process = await screen.start([*COMMAND, "--server", ctl.server, *words], environ=os.environ)
        try:
            await screen.wait(rb"would move the primary from " + str(old.alias).encode())
            await screen.wait(rb"Type yes: ")
            await old.kill_mysqld()
            await vtorc.wait_for(lambda line: str(line["event"]).endswith("; replacing the primary"))
            screen.type(b"yes\r")
            await screen.wait(rb"the shard has changed since the plan was made")
            async with asyncio.timeout(PATIENCE):
                assert await process.wait() == 1
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    new = await shard.replaced(old)
    _, told = await ctl.json("recoveries", "--shard", str(shard.id))
    winners = {each["kind"]: each["winner"] for each in told["items"]}
    assert winners["RecoverDeadPrimary"] == str(new.alias)
    assert "PlannedReparentShard" not in winners


async def test_a_held_primary_is_replaced_once_its_hold_is_lifted(shard: Shard, daemons: Daemons) -> None:
    """The next vtorc honours the hold that the killed one was told, and says whose it is."""
    vtorc, ctl = await started(daemons)
    old, name = await shard.primary(), str(shard.id)
    kept = await ctl(
        "hold", name, "--effect", "no_failover", "--for", "1h", "--owner", "ann", "--reason", "a disk swap"
    )
    assert (kept.code, kept.notes) == (0, "")
    assert "in force: hold 1 of ann on commerce/0 until" in kept.text
    assert "hold 1 of ann" in (await ctl("holds")).text
    flags = (f"--log-dir={vtorc.folder}", "--listen-address=127.0.0.1:0")
    await vtorc.kill()

    vtorc = await daemons.start(*flags)
    line = await vtorc.wait_for(lambda line: line["event"].startswith("serving HTTP on "))
    ctl = Ctl(f"http://{line['address']}")
    await vtorc.wait_for(lambda line: line["event"].startswith("still in force (no_failover): hold 1 of ann"))
    async with shard.terms() as terms:
        await old.kill_mysqld()
        held = await vtorc.wait_for(lambda line: line.get("rule") == "held" and line.get("code") == "DeadPrimary")
        assert held["event"].endswith(": a disk swap")

        async def why_not() -> str:
            told = await ctl("why", name)
            return "" if "doing nothing: hold 1 of ann" in told.text else f"{told}"

        await until(why_not)
        assert len(terms) == 1
        assert (await ctl("lift", "1", "--reason", "the disk is in")).code == 0
        new = await shard.replaced(old)

        async def told_of_both() -> str:
            told = [alias for alias, _ in terms]
            return "" if told == [old.alias, new.alias] else f"{told}"

        await until(told_of_both)
    await shard.return_of(old)
