"""Notes at the desk: what is refused and why, and what is kept once a note was answered."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest

from tests.unit.core.builders import SHARD, P, alias
from tests.unit.desk.requests import Asking, fields_of, problem_of
from tests.unit.recovery.fakes import WALL, Rig, with_rig
from vtorc.control.facade import FleetFacade
from vtorc.control.note_book import NoteBook, PassingNotes
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.core.facts.notes import Tag
from vtorc.desk.desk import Desk
from vtorc.errors import OrdersFileError
from vtorc.forms.settings import ReloadForm

SECOND = alias("zone2-200")


class Broken(PassingNotes):
    """A store that fails once it is told to."""

    fails = False

    async def acknowledge(self, *notes: Any, **what: Any) -> None:
        if self.fails:
            raise OrdersFileError("orders file /x: the disk is full")

    async def tag(self, *notes: Any, **what: Any) -> None:
        await self.acknowledge()


class Fleet:
    """A fleet of one shard."""

    def __init__(self, rig: Rig) -> None:
        self.tools = rig.tools
        self.store = Broken()
        self.notes = NoteBook(self.store, rig.tools.clock)
        self.reloaded = ReloadForm(done=True, sentences=["x is now 1, before 0"])
        self.shards = (SHARD,)

    async def reload(self) -> ReloadForm:
        return self.reloaded

    def aliases(self, shard: ShardId) -> tuple[TabletAlias, ...]:
        return (alias(P), SECOND) if shard == SHARD else ()


def at_the_desk(main: Callable[[Fleet, Asking], Awaitable[None]]) -> None:
    """Run a test with an operator at the desk of a fleet."""

    async def work(rig: Rig) -> None:
        fleet = Fleet(rig)
        desk = Desk(cast(FleetFacade, fleet), notes=fleet.notes, reload=fleet.reload)
        await main(fleet, Asking(desk))

    with_rig(work)


@pytest.mark.parametrize(
    ("kind", "arguments", "what"),
    [
        ("acknowledge", {"recoveries": [], "comment": "seen"}, "recoveries: []"),
        ("acknowledge", {"recoveries": "17", "comment": "seen"}, 'recoveries: "17"'),
        ("acknowledge", {"recoveries": ["all"], "comment": "seen"}, 'recoveries: ["all"]'),
        ("acknowledge", {"recoveries": [17], "comment": "seen"}, "recoveries: [17]"),
        ("acknowledge", {"recoveries": ["17"], "comment": " "}, 'comment: " "'),
        ("acknowledge", {"recoveries": ["17"], "comment": "x" * 501}, "comment: "),
        ("acknowledge", {"recoveries": ["17"], "comment": "seen", "by": "me"}, 'by: "me"'),
        ("tag", {"tablets": ["zone2-200"], "tag": "a b"}, 'tag: "a b"'),
        ("tag", {"tablets": ["zone2-200"]}, "tag: null"),
        ("tag", {"tablets": ["zone9-9"], "tag": "a"}, 'tablets: "zone9-0000000009"'),
        ("tag", {"tag": "a"}, "tablets: null"),
        ("untag", {"tag": "~a"}, 'tag: "~a"'),
        ("reload", {"reason": ""}, 'reason: ""'),
    ],
)
def test_a_wrong_note_is_refused(kind: str, arguments: dict[str, object], what: str) -> None:
    """The refusal names key and value, and nothing is kept."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        problem = problem_of(await asking.ask(kind, **arguments))
        assert (problem.status, problem.what[: len(what)]) == (422, what)
        assert not fleet.notes.notes.acknowledgements
        assert not fleet.notes.notes.tags

    at_the_desk(main)


def test_recoveries_are_acknowledged_by_the_operator() -> None:
    """An acknowledgement has operator, time and comment, in which what cannot be printed is blanked."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        reply = await asking.ask("acknowledge", recoveries=["17", "18", "17"], comment="seen\nby us")
        assert reply.status == 200
        assert [each["recovery"] for each in fields_of(reply)["acknowledged"]] == ["17", "18"]
        kept = fleet.notes.notes.acknowledgements["18"]
        assert (kept.actor, kept.comment) == ("ann", "seen by us")
        assert kept.at >= WALL

    at_the_desk(main)


def test_tablets_are_tagged_and_untagged() -> None:
    """A tag is put on tablets, found by name or by name and value, and taken from some or from all tablets."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        first = alias(P)
        await asking.ask("tag", tablets=[P, "zone2-200"], tag="role=backup")
        await asking.ask("tag", tablets=["zone2-200"], tag="old")
        assert list(fleet.notes.notes.tags.values()) == [
            Tag(first, "role", "backup"),
            Tag(SECOND, "old", ""),
            Tag(SECOND, "role", "backup"),
        ]
        reply = await asking.ask("untag", tablets=None, tag="role=lead")
        assert fields_of(reply) == {"tags": []}
        reply = await asking.ask("untag", tablets=["zone2-200"], tag="role")
        assert fields_of(reply)["tags"] == [{"tablet": str(SECOND), "name": "role", "value": "backup"}]
        await asking.ask("untag", tag="role=backup")
        assert list(fleet.notes.notes.tags.values()) == [Tag(SECOND, "old", "")]

    at_the_desk(main)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("acknowledge", {"recoveries": ["17"], "comment": "seen"}),
        ("tag", {"tablets": ["zone2-200"], "tag": "a"}),
    ],
)
def test_a_note_that_cannot_be_kept_is_refused(kind: str, arguments: dict[str, object]) -> None:
    """A store that fails has the note refused with its reason."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        fleet.store.fails = True
        problem = problem_of(await asking.ask(kind, **arguments))
        assert (problem.status, problem.why) == (503, "orders file /x: the disk is full")

    at_the_desk(main)


def test_the_settings_are_read_again() -> None:
    """The answer tells what has changed; settings that are wrong are refused with the reason."""

    async def main(fleet: Fleet, asking: Asking) -> None:
        reply = await asking.ask("reload", reason="a drill")
        assert (reply.status, fields_of(reply)["sentences"]) == (200, ["x is now 1, before 0"])
        fleet.reloaded = ReloadForm(done=False, sentences=["x is wrong", "y is, too"])
        problem = problem_of(await asking.ask("reload", reason="a drill"))
        assert (problem.status, problem.why) == (409, "x is wrong; y is, too")
        without = Asking(Desk(cast(FleetFacade, fleet)))
        assert problem_of(await without.ask("reload", reason="a drill")).status == 409

    at_the_desk(main)
