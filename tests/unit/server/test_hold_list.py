"""The holds in force, in each answer of `/api/v1` that tells them."""

import pytest

from tests.unit.core.builders import held, hold
from tests.unit.demo.shards import B, judge, primary, replica
from tests.unit.server.told import MOMENT, NOW, RecordedAsk, ask_app, told_memory
from vtorc.core.facts.holds import Effect
from vtorc.forms.frames import HoldsFrame, SettingsFrame, ShardFrame
from vtorc.forms.shard import shard_form
from vtorc.recovery.runner import Judgement
from vtorc.server.app import make_app
from vtorc.server.v1.changes import NAMES, Changes, Wanted


@pytest.mark.parametrize(
    ("query", "numbers"),
    [("", [3, 4]), ("?scope=fleet", [4]), ("?effect=no_alert", [3]), ("?purpose=hold", [3, 4]), ("?scope=cell:x", [])],
)
async def test_holds_are_listed_as_asked_for(query: str, numbers: list[int]) -> None:
    """They are there in the status as well, and with the shard and the tablet that they are on."""
    view = held(
        judge(primary(), replica(B)).view, hold(Effect.NO_ALERT, on=f"tablet:{B}"), hold(Effect.NO_REPAIR, number=4)
    )
    shard = shard_form(Judgement(view, None, (), None), MOMENT, revision=1)
    memory = told_memory()
    memory.take(ShardFrame(shard=shard), NOW)
    memory.take(HoldsFrame(holds=[*shard.tablets[1].holds, *shard.holds], outlive_vtorc=True), NOW)
    app = make_app(memory, RecordedAsk())
    listed = await ask_app(app, f"/api/v1/holds{query}")
    assert [each["number"] for each in listed.json["items"]] == numbers
    assert [each["number"] for each in (await ask_app(app, "/api/v1/status")).json["holds"]] == [3, 4]
    why = (await ask_app(app, f"/api/v1/shards/{shard.name}/why")).json
    assert [each["number"] for each in why["holds"]] == [3, 4]


def test_what_is_no_event_ends_no_stream_of_events() -> None:
    """The settings are told anew after a reload; a listener hears nothing of that, and of the next hold as ever."""
    memory = told_memory()
    changes, before = Changes(memory), memory.revision
    memory.take(SettingsFrame(settings=[]), NOW)
    memory.take(HoldsFrame(holds=[], outlive_vtorc=True), NOW)
    piece = changes.piece(Wanted(shard=None, kinds=frozenset(NAMES.values())), before)
    assert piece.text.startswith(b"event: hold\n")
    assert piece.text.count(b"event: ") == 1
