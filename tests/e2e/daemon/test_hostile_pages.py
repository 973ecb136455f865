"""Every page of a fleet with hostile names, in a real browser, now and as of a moment: nothing runs, nothing breaks."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from msgspec import structs
from playwright.async_api import Page, Request, expect

from bench.pages.chromium import PATIENCE, chromium, opened
from tests.unit.server.test_past import FAILING, HEALTHY, SECOND, START, Hands, tell
from tests.unit.server.told import RecordedAsk, heartbeat, lost, snapshot, status, told_memory
from vtorc.control.history_observer import HistoryObserver
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import AnyFrame, AuditFrame, ShardFrame, StatusFrame
from vtorc.forms.times import rfc3339
from vtorc.history.writer import HistoryWriter
from vtorc.recovery.record import Outcome, RecoveryRecord, StepRecord
from vtorc.recovery.runner import Judgement
from vtorc.server.app import make_app
from vtorc.server.listener import Listener, bind
from vtorc.server.process import http_server

MARKUP = "<script>window.ran = 1</script><img src=http://evil.example/x onerror='window.ran = 1'>\"'&\u202e"
"""Text that would run in a page, and would ask another host, if it were taken for markup."""

SHARD = "a?b#c%41&d=<img src=x onerror=window.ran=1>"
"""A shard whose name is made of all that means something in an address."""

RECOVERY = START + 20 * SECOND
"""When the recovery of the history began, which is its name."""

REQUEST = AuditForm(
    id="7-1",
    at=rfc3339(START + 35 * SECOND),
    action="acknowledge",
    shard=f"commerce/{SHARD}",
    tablet=None,
    actor=MARKUP,
    means=Means.PROXY,
    role=Role.ADMIN,
    origin=MARKUP,
    arguments={},
    reason=MARKUP,
    result="done",
    recovery=None,
    sentence=MARKUP,
)


def named(judgement: Judgement) -> Judgement:
    """Return a judgement of the hostile shard, with sentences that are markup."""
    shard = ShardId("commerce", SHARD)
    return replace(
        judgement,
        view=replace(judgement.view, shard=shard),
        decisions=tuple(
            replace(each, finding=replace(each.finding, shard=shard, sentence=MARKUP), sentence=MARKUP)
            for each in judgement.decisions
        ),
    )


def written(path: Path) -> str:
    """Write a history in which the primary of the hostile shard fails and is replaced; returns its path."""
    clock = Hands()
    writer = HistoryWriter(str(path), version="1", wall=clock.wall)
    observer = HistoryObserver(writer, clock)
    healthy, failing = named(HEALTHY), named(FAILING)
    clock.at = 10
    tell(observer, healthy, failing)
    observer.finished(
        RecoveryRecord(
            shard=failing.view.shard,
            recovery=Recovery.RECOVER_DEAD_PRIMARY,
            code=failing.decisions[0].finding.code,
            alias=failing.decisions[0].finding.alias,
            began=RECOVERY,
            duration=4.0,
            outcome=Outcome.FAILED,
            sentence=MARKUP,
            steps=(StepRecord(name="promote", target=None, started=1.0, duration=2.0, result=MARKUP),),
            marks={"stopped": 1.0},
        )
    )
    clock.at = 35
    observer.audited(REQUEST)
    clock.at = 40
    tell(observer, failing, healthy)
    clock.at = 60
    writer.close()
    return str(path)


def frames(history: str) -> Iterator[AnyFrame]:
    """Yield what a vtorc with this history tells of its hostile fleet."""
    form = lost("commerce/0")
    tablets = [structs.replace(each, host=MARKUP, mysql_host=MARKUP, version=MARKUP) for each in form.tablets]
    findings = [structs.replace(each, sentence=MARKUP) for each in form.findings]
    for frame in snapshot():
        yield status(history_file=history, topology_failures=[MARKUP]) if isinstance(frame, StatusFrame) else frame
    yield ShardFrame(
        shard=structs.replace(
            form,
            name=f"commerce/{SHARD}",
            shard=SHARD,
            sentence=MARKUP,
            tablets=tablets,
            findings=findings,
            unreadable_cells={MARKUP: MARKUP},
        )
    )
    yield AuditFrame(entry=REQUEST)
    yield heartbeat()


@asynccontextmanager
async def served(tmp_path: Path) -> AsyncIterator[str]:
    """Serve the pages of the hostile fleet while inside; gives their address."""
    memory = told_memory(frames(written(tmp_path / "history.sqlite")), now=time.monotonic())
    listener = bind(Listener.V12, "127.0.0.1", 0)
    server = http_server(make_app(memory, RecordedAsk(status=409, body=REFUSED)))
    server.config.timeout_graceful_shutdown = 1
    serving = asyncio.create_task(server.serve(sockets=[listener.sock]))
    try:
        yield listener.address
    finally:
        server.should_exit = True
        await serving


REFUSED = {"title": MARKUP, "status": 409, "what": MARKUP, "why": MARKUP, "do": MARKUP}
"""What vtorc answers to the wish for a plan."""

_HOSTILE = f"/ui/shards/commerce/{quote(SHARD, safe='')}"

VIEWS = (
    "/ui/",
    f"/ui/?q={quote(SHARD)}",
    _HOSTILE,
    "/ui/recoveries",
    f"/ui/recoveries/{RECOVERY}",
    "/ui/audit",
    "/ui/settings",
    f"{_HOSTILE}/plan",
    f"/ui/{quote(MARKUP, safe='')}",
)
"""Every view, with hostile names in its address where it has names."""


async def shows_text_only(page: Page, address: str, path: str) -> None:
    """Open a view; nothing in it may run, and no picture or script may come of a name."""
    await page.goto(f"http://{address}{path}")
    await expect(page.locator("h1")).to_be_visible(timeout=PATIENCE)
    assert await page.evaluate("window.ran") is None, path
    assert await page.locator("img, script:not([src])").count() == 0, path


async def test_nothing_in_a_hostile_name_runs(tmp_path: Path) -> None:
    """Every view is readable, now and as of three moments, runs nothing, and asks no other host."""
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    async with served(tmp_path) as address, chromium() as browser, opened(browser, f"http://{address}/ui/") as page:
        page.on("request", note)
        for path in VIEWS:
            await shows_text_only(page, address, path)
            for seconds in (15, 22, 50):
                moment = quote(rfc3339(START + seconds * SECOND))
                await shows_text_only(page, address, f"{path}{'&' if '?' in path else '?'}at={moment}")
    assert [url for url in asked if not url.startswith(f"http://{address}/")] == []


@pytest.mark.parametrize("seconds", [15, 50])
async def test_the_links_of_a_hostile_shard_lead_to_it(tmp_path: Path, seconds: int) -> None:
    """From the fleet to the shard, to another moment and back to now, each link has the shard's own page."""
    async with served(tmp_path) as address, chromium() as browser:
        moment = quote(rfc3339(START + seconds * SECOND))
        async with opened(browser, f"http://{address}/ui/?at={moment}") as page:
            await page.get_by_role("link", name=SHARD).first.click()
            heading = page.locator("h1", has_text=f"commerce/{SHARD}")
            await expect(heading).to_be_visible(timeout=PATIENCE)
            await expect(page.locator(".then-told")).to_be_visible()
            await page.get_by_role("link", name="Earlier").click()
            await expect(heading).to_be_visible(timeout=PATIENCE)
            await page.get_by_role("link", name="Back to now").click()
            await expect(heading).to_be_visible(timeout=PATIENCE)
            await expect(page.locator(".then-told")).to_have_count(0)
            await page.get_by_role("link", name="Look back").click()
            await expect(heading).to_be_visible(timeout=PATIENCE)
