"""The controls of a demo on its pages: what they show, what they hand on, and that only a demo has them."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from starlette.types import ASGIApp

from tests.unit.server.told import Answered, RecordedAsk, ask_app, told_memory
from vtorc.config.settings import Settings
from vtorc.server.app import make_app
from vtorc.server.demo_door import DemoFaultForm, DemoStateForm, DemoTabletForm
from vtorc.server.listener import Listener
from vtorc.server.opening import server_rules
from vtorc.server.options import ServerRules

HOSTILE = "<script>alert(1)</script>"

STATE = DemoStateForm(
    tablets=[
        DemoTabletForm(alias="zone1-0000000101", is_primary=True, broken=["its mysqld is down"]),
        DemoTabletForm(alias=HOSTILE, is_primary=False, broken=[HOSTILE]),
    ],
    has_vtorc=False,
    has_topology=True,
    faults=[DemoFaultForm(name="kill-mysqld", button="Kill it", help="kill -9 of the mysqld", of_tablet=True)],
)

Reply = dict[str, str] | None
"""What a demo answers; None if it ends without an answer."""


@asynccontextmanager
async def door_to(path: Path, answer: Callable[[dict[str, Any]], Reply]) -> AsyncIterator[list[dict[str, Any]]]:
    """Stand for a demo behind a door while inside; gives the requests that it was sent."""
    heard: list[dict[str, Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(json.loads(await reader.readline()))
        if (reply := answer(heard[-1])) is not None:
            writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, path)
    try:
        yield heard
    finally:
        server.close()


def told(request: dict[str, Any]) -> Reply:
    """Tell the state, refuse what is about an unknown tablet, and do the rest."""
    if request["do"] == "state":
        return {"ok": msgspec.json.encode(STATE).decode()}
    return {"error": "there is no such tablet"} if request["on"] == "unknown" else {"ok": f"did {request['do']}"}


def app_of(door: Path | None, listener: Listener = Listener.V12) -> ASGIApp:
    """Return the application of a server with this door."""
    rules = ServerRules(demo_door=str(door) if door is not None else "")
    return make_app(told_memory(), RecordedAsk(), listener=listener, rules=rules)


def order(app: ASGIApp, body: object, **headers: str) -> Awaitable[Answered]:
    """Send an order as the page does, with further headers."""
    sent = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    return ask_app(app, "/ui/demo", method="POST", body=msgspec.json.encode(body), headers=sent)


KILL = {"do": "kill-mysqld", "on": "primary"}


async def test_a_vtorc_of_a_cluster_has_no_controls() -> None:
    """No setting names a door; without one the pages have no controls, and there is no route that breaks a server."""
    assert server_rules(Settings()).demo_door == ""
    app = app_of(None)
    assert "demo" not in (await ask_app(app, "/ui/")).text
    assert (await ask_app(app, "/ui/demo")).status == 404
    assert (await order(app, KILL)).status in (404, 405)


async def test_the_controls_show_what_is_broken(tmp_path: Path) -> None:
    """Each page asks for the controls; they name what is broken, with a button that mends it, and run no markup."""
    door = tmp_path / "door"
    async with door_to(door, told):
        app = app_of(door)
        assert '<aside class="demo-panel" id="demo"' in (await ask_app(app, "/ui/")).text
        shown = (await ask_app(app, "/ui/demo")).text
    assert 'data-do="kill-mysqld" title="kill -9 of the mysqld">Kill it' in shown
    assert "vtorc has ended" in shown
    assert "its mysqld is down" in shown
    assert 'data-do="start" data-on="zone1-0000000101"' in shown
    assert "the topology server is down" not in shown
    assert "<script" not in shown


async def test_an_order_goes_to_the_demo(tmp_path: Path) -> None:
    """The demo carries an order out, and its sentence is the answer; what it refuses comes back with its reason."""
    door = tmp_path / "door"
    async with door_to(door, told) as heard:
        done = await order(app_of(door), KILL)
        refused = await order(app_of(door), {"do": "start", "on": "unknown"})
    assert (done.status, done.json) == (200, {"sentence": "did kill-mysqld"})
    assert (refused.status, refused.json["why"]) == (409, "there is no such tablet")
    assert heard == [KILL, {"do": "start", "on": "unknown"}]


async def test_nothing_is_broken_by_a_client_that_may_not_act(tmp_path: Path) -> None:
    """On the read-only listener, from another page and by a form of a browser an order never reaches the demo."""
    door = tmp_path / "door"
    async with door_to(door, told) as heard:
        reader = app_of(door, Listener.READ_ONLY)
        assert (await order(reader, KILL)).status == 403
        assert (await order(app_of(door), KILL, sec_fetch_site="cross-site")).status == 403
        assert (await order(app_of(door), KILL, origin="http://evil.example")).status == 403
        assert (await order(app_of(door), KILL, content_type="text/plain")).status == 400
        assert (await order(app_of(door), {"do": "kill-mysqld", "of": "primary"})).status == 400
        assert heard == []
        shown = (await ask_app(reader, "/ui/demo")).text
    assert "Nothing can be broken here" in shown
    assert "<button" not in shown


async def test_a_demo_that_is_gone_is_told(tmp_path: Path) -> None:
    """Without a demo behind the door, or without its answer, the answer says so."""
    door = tmp_path / "door"
    nobody = await order(app_of(door), KILL)
    assert (nobody.status, nobody.json["what"]) == (503, "the demo takes no commands")
    async with door_to(door, lambda request: None):
        ended = await order(app_of(door), KILL)
    assert (ended.status, ended.json["what"]) == (503, "the demo ended")
