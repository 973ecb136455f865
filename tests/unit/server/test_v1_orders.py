"""Commands on tablets and acknowledgements over `/api/v1`: what goes to vtorc, and what is refused at once."""

from collections.abc import Iterable
from enum import Enum
from typing import Any, get_args

import msgspec
import pytest

from tests.unit.server.told import RecordedAsk, ask_app, told_memory
from vtorc.core.facts.holds import Effect
from vtorc.forms.access import Role
from vtorc.forms.findings import SEVERITIES
from vtorc.forms.shard_states import ShardState, StateName
from vtorc.recovery.tablet_change import COMMANDS
from vtorc.server.app import make_app
from vtorc.server.v1.actions import CommandName, EffectName, RoleName
from vtorc.server.v1.reads import Severity

COMMAND: dict[str, Any] = {"command": "StopReplication", "tablets": ["zone1-101"], "reason": "a new disk"}


async def post(asked: RecordedAsk, path: str, body: dict[str, Any]) -> int:
    """Send a request that acts, and return its status."""
    got = await ask_app(
        make_app(told_memory(), asked),
        f"/api/v1/{path}",
        method="POST",
        headers={"content-type": "application/json"},
        body=msgspec.json.encode(body),
    )
    return got.status


@pytest.mark.parametrize(
    ("spelled_out", "known"),
    [
        (CommandName, COMMANDS),
        (EffectName, Effect),
        (StateName, ShardState),
        (RoleName, [role for role in Role if role is not Role.NONE]),
    ],
)
def test_each_word_of_the_description_is_one_of_the_catalogue(spelled_out: Any, known: Iterable[Enum]) -> None:
    """The commands, effects, states and roles that the description names are those that vtorc knows, in their order."""
    assert list(get_args(spelled_out)) == [each.value for each in known]


def test_each_severity_of_the_description_is_one_of_findings() -> None:
    """The severities that a list of findings can be asked for are those that findings have."""
    assert get_args(Severity) == SEVERITIES


@pytest.mark.parametrize(
    ("path", "body", "kind", "arguments"),
    [
        (
            "shards/commerce/0/commands",
            COMMAND,
            "command",
            {**COMMAND, "shard": "commerce/0", "seconds": None},
        ),
        (
            "shards/commerce/-80/commands",
            {**COMMAND, "seconds": 60},
            "command",
            {**COMMAND, "shard": "commerce/-80", "seconds": 60},
        ),
        ("recoveries/17/acknowledge", {"comment": "seen"}, "acknowledge", {"recoveries": ["17"], "comment": "seen"}),
        (
            "acknowledgements",
            {"recoveries": ["17", "18"], "comment": "seen"},
            "acknowledge",
            {"recoveries": ["17", "18"], "comment": "seen"},
        ),
    ],
)
async def test_an_order_goes_to_vtorc(path: str, body: dict[str, Any], kind: str, arguments: dict[str, Any]) -> None:
    """An order is handed to vtorc with all that its body says."""
    asked = RecordedAsk()
    assert await post(asked, path, body) == 200
    assert [(each[0], each[1]) for each in asked.asked] == [(kind, arguments)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("shards/commerce/0/commands", {**COMMAND, "command": "Reboot"}),
        ("shards/commerce/0/commands", {**COMMAND, "tablets": []}),
        ("shards/commerce/0/commands", {"command": "StopReplication", "tablets": ["zone1-101"]}),
        ("recoveries/17/acknowledge", {}),
        ("acknowledgements", {"recoveries": [], "comment": "seen"}),
    ],
)
async def test_a_wrong_order_is_refused_without_asking(path: str, body: dict[str, Any]) -> None:
    """A body that the description does not allow goes no further than the server."""
    asked = RecordedAsk()
    assert await post(asked, path, body) == 400
    assert not asked.asked
