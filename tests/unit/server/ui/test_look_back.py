"""Pages as of a moment of the history: what they show of it, what they offer, and that nothing can be done on them."""

import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from msgspec import structs
from starlette.types import ASGIApp

from tests.unit.server.test_past import FAILING, HEALTHY, SECOND, START, Hands, tell
from tests.unit.server.told import RecordedAsk, ask_app, heartbeat, snapshot, status, told_memory, well
from vtorc.control.history_observer import HistoryObserver
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import TabletAlias
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import AnyFrame, DecisionFrame, RecoveryFrame, ShardFrame, StatusFrame
from vtorc.forms.times import rfc3339
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord
from vtorc.server.app import make_app

RECOVERY = START + 20 * SECOND
"""When the recovery of the history began, which is its name."""

REQUEST = AuditForm(
    id="7-1",
    at=rfc3339(START + 35 * SECOND),
    action="acknowledge",
    shard="commerce/0",
    tablet=None,
    actor="ann",
    means=Means.PASSWORD,
    role=Role.ADMIN,
    origin="10.0.0.7",
    arguments={},
    reason="a drill",
    result="done",
    recovery=None,
    sentence="it is acknowledged",
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A history: the primary of commerce/0 fails at 10 s, is replaced from 20 to 24 s, and all is well at 40 s."""
    clock, file = Hands(), str(tmp_path / "h.sqlite")
    writer = HistoryWriter(file, version="1", wall=clock.wall)
    observer = HistoryObserver(writer, clock)
    clock.at = 10
    tell(observer, HEALTHY, FAILING)
    steps = (
        StepRecord(name="stop replication", target=TabletAlias("zone2", 102), started=1.0, duration=1.0, result="done"),
        StepRecord(name="promote", target=TabletAlias("zone2", 102), started=2.0, duration=2.0, result="done"),
    )
    observer.finished(
        RecoveryRecord(
            shard=FAILING.view.shard,
            recovery=Recovery.RECOVER_DEAD_PRIMARY,
            code=FAILING.decisions[0].finding.code,
            alias=TabletAlias("zone1", 101),
            began=RECOVERY,
            duration=4.0,
            outcome=Outcome.SUCCEEDED,
            sentence="zone2-0000000102 is primary",
            winner=TabletAlias("zone2", 102),
            steps=steps,
        )
    )
    clock.at = 35
    observer.audited(REQUEST)
    clock.at = 40
    tell(observer, FAILING, HEALTHY)
    clock.at = 60
    writer.close()
    return file


def frames(path: str) -> Iterator[AnyFrame]:
    """Yield what a vtorc with this history tells, all of whose shards are well now."""
    for frame in snapshot():
        if isinstance(frame, StatusFrame):
            yield status(history_file=path)
        elif isinstance(frame, ShardFrame):
            yield ShardFrame(shard=structs.replace(well(), name=frame.shard.name))
        elif not isinstance(frame, RecoveryFrame | DecisionFrame):
            yield frame
    yield heartbeat()


@pytest.fixture
def app(path: str) -> ASGIApp:
    """The server of a vtorc with this history."""
    return make_app(told_memory(frames(path)), RecordedAsk())


def at(seconds: float) -> str:
    """Return the parameter of a moment, so long after the start."""
    return f"at={quote(rfc3339(START + int(seconds * SECOND)))}"


async def text(app: ASGIApp, path: str, *, status: int = 200) -> str:
    """Return a page that is answered with this status."""
    answer = await ask_app(app, path)
    assert answer.status == status, answer.text
    return html.unescape(answer.text)


async def test_the_fleet_is_shown_as_it_was(app: ASGIApp) -> None:
    """A shard has the state of the moment, a shard that was in no trouble is healthy, and links keep the moment."""
    told = await text(app, f"/ui/?{at(15)}")
    assert "3 shards: 1 repairing, 2 healthy; 1 perhaps takes no writes." in told
    assert f'href="/ui/shards/commerce/0?{at(15)}"' in told
    assert "All 3 shards are healthy." in await text(app, f"/ui/?{at(50)}")
    names = (await ask_app(app, f"/ui/order?state=repairing&{at(15)}")).json
    assert names == ["commerce/0"]
    assert "repairing" in await text(app, f"/ui/rows?name=commerce/0&{at(15)}")


async def test_a_row_has_the_primary_that_a_recovery_had_made(app: ASGIApp) -> None:
    """A promotion changes the primary of a row once it has ended, although vtorc has decided nothing since."""
    row = '<span class="cell-primary mono" data-label="primary">{}</span>'
    assert row.format("zone1-0000000101") in await text(app, f"/ui/?{at(15)}")
    assert row.format("zone1-0000000101") in await text(app, f"/ui/?{at(22)}")
    assert row.format("zone2-0000000102") in await text(app, f"/ui/?{at(30)}")


async def test_a_shard_is_shown_with_the_decisions_made_then(app: ASGIApp) -> None:
    """The page of a shard has its sentence, tablets, findings and decisions of the moment, and nothing later."""
    told = await text(app, f"/ui/shards/commerce/0?{at(15)}")
    assert FAILING.decisions[0].sentence.removeprefix("commerce/0: ") in told
    assert "The tablets are as vtorc saw them at 2026-11-29 21:00:10 UTC" in told
    assert "vtorc carried out RecoverDeadPrimary" in told
    assert "<b>Over:</b>" not in told
    later = await text(app, f"/ui/shards/commerce/0?{at(50)}")
    assert "no problem was in force" in later
    assert "<b>Over:</b> DeadPrimary of zone1-0000000101" in later
    assert "RecoverDeadPrimary</a> succeeded" in later


async def test_nothing_can_be_done_on_a_page_of_the_past(app: ASGIApp) -> None:
    """A page of the past says so, offers the way back to now, and has no form that acts and no plan."""
    for path in ("/ui/", "/ui/shards/commerce/0", "/ui/recoveries", f"/ui/recoveries/{RECOVERY}", "/ui/audit"):
        told = await text(app, f"{path}?{at(50)}")
        assert "<b>This is how it was at 2026-11-29 21:00:50 UTC</b>" in told
        assert f'id="now" href="{path}"' in told
        assert "data-act" not in told
        assert "draggable" not in told
        assert "/plan" not in told
        assert 'data-events=""' in told


async def test_a_plan_is_of_now(app: ASGIApp) -> None:
    """The address of a plan as of a moment is refused, and leads to the same plan as of now."""
    told = await text(app, f"/ui/shards/commerce/0/plan?kind=planned&to=zone2-102&{at(15)}", status=400)
    assert "A plan is of now." in told
    assert 'href="/ui/shards/commerce/0/plan?kind=planned&to=zone2-102"' in told


async def test_moments_lead_from_one_to_the_next(app: ASGIApp) -> None:
    """A page links the moment before and the one after it, and lists those around it; filters stay."""
    told = await text(app, f"/ui/?state=healthy&{at(15)}")
    assert f'rel="prev" href="/ui/?state=healthy&at={rfc3339(START + 10 * SECOND)}"' in told
    assert f'rel="next" href="/ui/?state=healthy&at={rfc3339(RECOVERY)}"' in told
    assert f'<option value="{rfc3339(START + 35 * SECOND)}">21:00:35 UTC  ann: acknowledge done' in told
    assert "21:00:24 UTC  RecoverDeadPrimary succeeded" in told
    assert '<input type="hidden" name="state" value="healthy">' in told
    first, last = await text(app, f"/ui/?{at(0)}"), await text(app, f"/ui/?{at(50)}")
    assert 'rel="prev"' not in first
    assert 'rel="next"' not in last


async def test_a_moment_shows_what_happened_at_it(app: ASGIApp) -> None:
    """The address of an offered moment shows the decision that was made in that millisecond."""
    assert "3 shards: 1 repairing" in await text(app, f"/ui/?{at(10)}")
    assert "All 3 shards are healthy." in await text(app, f"/ui/?{at(9.999)}")


async def test_a_recovery_is_shown_step_by_step(app: ASGIApp) -> None:
    """Before it ended a recovery is in progress, with the steps that had ended; before it began there is none."""
    during = await text(app, f"/ui/recoveries/{RECOVERY}?{at(23)}")
    assert "RecoverDeadPrimary: in progress" in during
    assert '<td class="first">stop replication</td>' in during
    assert '<td class="first">promote</td>' not in during
    assert "step: stop replication zone2-0000000102" in during
    assert "RecoverDeadPrimary: succeeded" in await text(app, f"/ui/recoveries/{RECOVERY}?{at(24)}")
    assert "The recovery had not begun" in await text(app, f"/ui/recoveries/{RECOVERY}?{at(19)}", status=404)


async def test_lists_end_with_the_moment(app: ASGIApp) -> None:
    """Recoveries and requests that came later are not listed, and a recovery under way has no outcome yet."""
    assert "No recovery had begun by" in await text(app, f"/ui/recoveries?{at(15)}")
    assert "<td>in progress</td>" in await text(app, f"/ui/recoveries?{at(22)}")
    assert "1 recovery: 1 succeeded." in await text(app, f"/ui/recoveries?{at(30)}")
    assert "No operator had asked for anything by" in await text(app, f"/ui/audit?{at(30)}")
    assert "Reason: a drill" in await text(app, f"/ui/audit?actor=ann&{at(36)}")
    assert "Reason: a drill" not in await text(app, f"/ui/audit?actor=bob&{at(36)}")


async def test_settings_are_those_of_now(app: ASGIApp) -> None:
    """The page of the settings says that the history does not keep them."""
    assert "these are those of now" in await text(app, f"/ui/settings?{at(30)}")


@pytest.mark.parametrize("given", ["yesterday", "2026-13-01T00:00:00Z", "1960-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
async def test_a_moment_that_is_none_is_told(app: ASGIApp, given: str) -> None:
    """A time that makes no sense is refused on every page, and so is one that the history cannot have."""
    for path in ("/ui/", "/ui/order", "/ui/rows", "/ui/shards/commerce/0", "/ui/recoveries", "/ui/audit"):
        assert (await ask_app(app, f"{path}?at={quote(given)}")).status == 400


async def test_a_time_without_a_zone_is_in_utc(app: ASGIApp) -> None:
    """The form of a browser sends a time without its zone, which the page names beside the field."""
    told = await text(app, f"/ui/?at={quote(rfc3339(START + 15 * SECOND)[:-1])}")
    assert "This is how it was at 2026-11-29 21:00:15 UTC" in told


async def test_a_vtorc_without_history_offers_no_look_back(app: ASGIApp) -> None:
    """Without a history file no page links the past, and its address says what is missing."""
    without = make_app(told_memory(), RecordedAsk())
    assert "look-back" not in await text(without, "/ui/")
    assert "The history cannot be read." in await text(without, f"/ui/?{at(10)}", status=503)
    assert "vtorc keeps no history" in await text(without, f"/ui/?{at(10)}", status=503)
    assert 'id="look-back" href="/ui/?at=' in await text(app, "/ui/")


async def test_a_shard_that_never_was_has_no_past(app: ASGIApp) -> None:
    """A shard of which neither now nor the history knows is unknown."""
    await text(app, f"/ui/shards/none/0?{at(10)}", status=404)
