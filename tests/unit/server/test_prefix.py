"""The prefix of all paths of v12's listener."""

import time

import pytest

from tests.unit.server.told import RecordedAsk, ask_app, told_memory
from vtorc.server.access.rules import AccessRules
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules

RULES = ServerRules(url_prefix="/orc", access=AccessRules(status_endpoint="/alive"))


def heard_memory() -> ServerMemory:
    """Return a memory that vtorc was heard by just now."""
    memory = told_memory()
    memory.heard_at = time.monotonic()
    return memory


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/orc/api/clusters", 200),
        ("/orc/api/cluster-info/commerce%2F0", 200),
        ("/orc/api/v1/status", 200),
        ("/orc/debug/liveness", 200),
        ("/debug/liveness", 200),
        ("/alive", 200),
        ("/orc/alive", 200),
        ("/api/clusters", 404),
        ("/api/v1/status", 404),
        ("/orca/api/clusters", 404),
        ("/orc/orc/api/clusters", 404),
        ("/", 404),
    ],
)
async def test_paths_begin_with_the_prefix(path: str, status: int) -> None:
    """All do but probes and the status endpoint, which are found without it as well."""
    app = make_app(heard_memory(), RecordedAsk(), listener=Listener.V12, rules=RULES)
    assert (await ask_app(app, path)).status == status


async def test_todays_listener_has_no_prefix() -> None:
    """The prefix is a setting of v12's listener."""
    app = make_app(heard_memory(), RecordedAsk(), listener=Listener.TODAY, rules=RULES)
    assert (await ask_app(app, "/api/v1/status")).status == 200


async def test_a_redirection_leads_below_the_prefix() -> None:
    """A path with `//` is sent to the clean one, with the prefix before it."""
    app = make_app(heard_memory(), RecordedAsk(), listener=Listener.V12, rules=RULES)
    answer = await ask_app(app, "/orc//api/clusters?x=1")
    assert (answer.status, answer.headers["location"]) == (307, "/orc/api/clusters?x=1")


async def test_a_foreign_page_does_not_act_below_the_prefix() -> None:
    """What is refused of browsers is refused there as well."""
    ask = RecordedAsk()
    app = make_app(heard_memory(), ask, listener=Listener.V12, rules=RULES)
    page = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    assert (await ask_app(app, "/orc/api/disable-global-recoveries", headers=page)).status == 403
    assert ask.asked == []
