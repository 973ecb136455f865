"""Requests about single tablets: what is refused at once, what is handed to the fleet, and what is asked now."""

import pytest

from tests.unit.core.builders import alias, failing, primary, replica, shard
from tests.unit.desk.requests import Asking, fields_of, problem_of
from tests.unit.desk.test_desk import FIRST, SECOND, OneShard, at
from tests.unit.recovery.fakes import Rig, begun, with_rig
from vtorc.core.detection.recoveries import Recovery
from vtorc.desk.desk import ACTS_A_MINUTE
from vtorc.forms.frames import ReplyFrame


async def stop(asking: Asking, *tablets: object, command: str = "StopReplication") -> ReplyFrame:
    """Ask for a command on tablets, the first replica if none is named."""
    return await asking.ask(
        "command", shard="commerce/0", command=command, tablets=list(tablets) or [str(FIRST)], reason="a drill"
    )


@pytest.mark.parametrize(
    ("arguments", "status", "what"),
    [
        ({"command": "Reboot"}, 422, 'command: "Reboot"'),
        ({"command": "PlannedReparentShard"}, 422, 'command: "PlannedReparentShard"'),
        ({"tablets": []}, 422, "tablets: []"),
        ({"tablets": "zone1-101"}, 422, 'tablets: "zone1-101"'),
        ({"tablets": ["101"]}, 422, 'tablets: ["101"]'),
        ({"tablets": ["zone1-109"]}, 422, 'tablets: "zone1-0000000109"'),
        ({"tablets": ["zone1-101"] * 101}, 422, "tablets: "),
        ({"shard": "commerce/9"}, 404, "commerce/9"),
        ({"reason": " "}, 422, 'reason: " "'),
        ({"nicely": True}, 422, "nicely: true"),
    ],
)
def test_a_wrong_command_is_refused(arguments: dict[str, object], status: int, what: str) -> None:
    """A command that makes no sense is refused by key, value and what was expected."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        right: dict[str, object] = {
            "shard": "commerce/0",
            "command": "StopReplication",
            "tablets": [str(FIRST)],
            "reason": "a drill",
        }
        problem = problem_of(await asking.ask("command", **(right | arguments)))
        assert (problem.status, problem.what[: len(what)], fleet.commands) == (status, what, [])

    with_rig(main)


def test_a_command_is_handed_to_the_fleet_with_the_operator() -> None:
    """A command that is taken on names the tablet, the operator and the reason."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        reply = await stop(asking)
        (command,) = fleet.commands
        assert (reply.status, command.begun.recovery, command.begun.alias) == (202, Recovery.STOP_REPLICATION, FIRST)
        assert command.begun.sentence == f"commerce/0: ann asked for StopReplication of {FIRST}: a drill"
        assert command.begun.asked is not None
        assert command.begun.asked.actor == "ann"
        assert fields_of(reply)["recovery"]["kind"] == "StopReplication"

    with_rig(main)


def test_a_command_on_several_tablets_is_about_the_shard() -> None:
    """A command on two tablets is one recovery, which names none of them as its tablet."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        await stop(asking, str(FIRST), str(SECOND), str(FIRST), command="RestartReplication")
        (command,) = fleet.commands
        assert command.begun.alias is None
        assert f"RestartReplication of {FIRST}, {SECOND}: a drill" in command.begun.sentence

    with_rig(main)


def refused(fleet: OneShard, why: str) -> None:
    """Have the fleet refuse for that reason."""
    match why:
        case "no policy":
            fleet.durability = None
        case "not controlled":
            fleet.controlled = False
        case "busy":
            fleet.running = begun(Recovery.FIX_REPLICA)
        case "silent":
            fleet.shown = shard(primary(), failing(replica("zone1-101")), replica("zone1-102"))
        case "acks":
            fleet.shown = shard(primary(), replica("zone1-101"))


@pytest.mark.parametrize(
    ("why", "words"),
    [
        ("no policy", "every change needs a durability policy"),
        ("not controlled", "not among the clusters to watch"),
        ("busy", "a recovery is in progress: it is needed"),
        ("silent", "zone1-0000000101 does not answer"),
        ("acks", "waits for 1 acknowledgements and only 0 other replicas give them"),
    ],
)
def test_what_would_be_refused_later_is_refused_at_once(why: str, words: str) -> None:
    """A command that the shard's state forbids is a conflict, and is not begun."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        refused(fleet, why)
        problem = problem_of(await stop(asking))
        assert (problem.status, fleet.commands) == (409, [])
        assert words in problem.why

    with_rig(main)


def test_a_shard_gets_so_many_commands_a_minute() -> None:
    """Commands count together with executed plans, and too many of them are refused for a while."""

    async def main(rig: Rig) -> None:
        _, asking = at(rig)
        for _ in range(ACTS_A_MINUTE):
            assert (await stop(asking)).status == 202
        assert problem_of(await stop(asking)).status == 429

    with_rig(main)


def test_tablets_are_asked_now() -> None:
    """The tablets that are named are asked, no other one is, and the answer tells which of them answered."""

    async def main(rig: Rig) -> None:
        fleet, asking = at(rig)
        fleet.shown = shard(primary(), replica("zone1-101"), failing(replica("zone1-102")))
        reply = await asking.ask("probe", shard="commerce/0", tablets=[str(FIRST), str(SECOND)])
        assert (reply.status, fields_of(reply)) == (200, {"answered": [str(FIRST)]})
        assert fleet.heard == [f"refresh without {alias('zone1-100')}"]
        assert problem_of(await asking.ask("probe", shard="commerce/0", tablets=["zone1-109"])).status == 422

    with_rig(main)
