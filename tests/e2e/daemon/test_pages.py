"""The pages of a real daemon on a real shard, in a real browser."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from bench.pages.chromium import PATIENCE, chromium, opened
from tests.e2e.daemon.daemons import Daemons, daemons_of
from tests.e2e.daemon.shard import Shard
from tests.e2e.daemon.test_http import Web, served
from vtorc.core.facts.ids import ShardId
from vtorc.lab.cluster import LabCluster, LabSpec

pytestmark = pytest.mark.asyncio(loop_scope="module")

expect.set_options(timeout=PATIENCE)


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


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    """Start a Chromium."""
    async with chromium() as started:
        yield started


@asynccontextmanager
async def page_of(browser: Browser, address: str, path: str, *, scripts: bool = True) -> AsyncIterator[Page]:
    """Open a page; what goes wrong in its scripts or with its policy fails the test."""
    async with opened(browser, f"http://{address}{path}", scripts=scripts) as page:
        yield page


async def test_a_replica_is_dragged_to_be_the_primary(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """A drag says what it means, its drop opens the plan, and the plan that is confirmed moves the real primary."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    old, (heir, *_) = await shard.primary(), await shard.replicas()
    async with page_of(browser, web.address, "/ui/") as page:
        await expect(page.locator("h1")).to_have_text("The shard is healthy.")
        await page.keyboard.press("j")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"**/ui/shards/{shard.id}")
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(old.alias))
        await expect(page.locator("#edges path.acks")).to_have_count(2)

        await page.locator(f"[data-alias='{heir.alias}']").hover()
        await page.mouse.down()
        await page.locator(".card-primary").hover()
        await page.locator(".card-primary").hover()  # browsers begin a drag with the second move
        await expect(page.locator("#drop-hint")).to_contain_text(f"Promote {heir.alias}. Writes pause")
        assert (await shard.primary()).alias == old.alias
        await page.mouse.up()
        await page.wait_for_url(f"**/plan?kind=planned&to={heir.alias}")
        await expect(page.locator("h1")).to_have_text(f"Move the primary of {shard.id}")

        await page.locator("input[name=reason]").fill("the page is tried")
        await page.get_by_role("button", name="Carry it out").click()
        await expect(page.locator("h1")).to_have_text("PlannedReparentShard: succeeded")
        await expect(page.locator(".facts")).to_contain_text("the page is tried")
        await expect(page.locator("tr", has_text="promote").first).to_contain_text(str(heir.alias))
    assert (await shard.primary()).alias == heir.alias


async def test_a_failover_arrives_on_an_open_page(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """The page of a shard shows the new primary without being loaded again, and the list its recovery."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    old = await shard.primary()
    async with page_of(browser, web.address, f"/ui/shards/{shard.id}") as page:
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(old.alias))
        await page.evaluate("window.isTheSamePage = true")
        await old.kill_mysqld()
        new = await shard.replaced(old)
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(new.alias))
        await expect(page.locator(f"[data-alias='{old.alias}']")).to_contain_text("answers that its MySQL is down")
        assert await page.evaluate("window.isTheSamePage")
        await page.get_by_role("link", name="Recoveries").click()
        await expect(page.locator("tr", has_text="RecoverDeadPrimary").first).to_contain_text("succeeded")


async def test_a_page_looks_back(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """After a failover the page of the shard leads back to the moments of it, and from there to now."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    old = await shard.primary()
    await old.kill_mysqld()
    new = await shard.replaced(old)
    async with page_of(browser, web.address, f"/ui/shards/{shard.id}") as page:
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(new.alias))
        await expect(page.locator("li", has_text="RecoverDeadPrimary").first).to_contain_text("succeeded")
        await page.get_by_role("link", name="Look back").click()
        await expect(page.locator(".then-told")).to_contain_text("This is how it was at")
        moment = page.locator("#moments option", has_text="RecoverDeadPrimary began").first
        await page.locator("#moments").select_option(value=await moment.get_attribute("value"))
        await page.locator(".then-form", has=page.locator("#moments")).get_by_role("button", name="Show").click()
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(old.alias))
        await expect(page.locator(".finding", has_text="DeadPrimary")).to_contain_text(str(old.alias))
        await expect(page.get_by_role("link", name="Plan")).to_have_count(0)
        await expect(page.locator("[draggable]")).to_have_count(0)
        await page.get_by_role("link", name="Back to now").click()
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(new.alias))

        then = quote(str(await moment_of(page, web, "RecoverDeadPrimary")))
        await page.goto(f"http://{web.address}/ui/?at={then}")
        await expect(page.locator("h1")).to_have_text("The shard is repairing; it perhaps takes no writes.")
        await expect(page.locator(".cell-primary")).to_have_text(str(old.alias))
        await page.goto(f"http://{web.address}/ui/recoveries?at={then}")
        await expect(page.locator("tr", has_text="RecoverDeadPrimary")).to_contain_text("in progress")
        await page.get_by_role("link", name="RecoverDeadPrimary").first.click()
        await expect(page.locator("h1")).to_have_text("RecoverDeadPrimary: in progress")
        await expect(page.get_by_text("No step has ended yet.")).to_be_visible()
        await page.get_by_role("link", name="Back to now").click()
        await expect(page.locator("h1")).to_have_text("RecoverDeadPrimary: succeeded")
        await expect(page.locator(".phase-list li")).to_contain_text(
            ["detect", "confirm", "lock", "stop", "elect", "promote", "first write"]
        )
        await page.goto(f"http://{web.address}/ui/audit?at={then}")
        await expect(page.locator("h1")).to_contain_text("No operator had asked for anything by")
        await page.goto(f"http://{web.address}/ui/shards/{shard.id}/plan?kind=planned&at={then}")
        await expect(page.locator("h1")).to_have_text("A plan is of now.")
        await page.get_by_role("link", name="Make the plan as of now").click()
        await expect(page.locator("h1")).to_have_text(f"Move the primary of {shard.id}")


async def moment_of(page: Page, web: Web, kind: str) -> str:
    """Return when the first recovery of a kind began, as addresses name moments: a later one may have followed it."""
    answer = await page.request.get(f"http://{web.address}/api/v1/recoveries?kind={kind}")
    began: str = (await answer.json())["items"][-1]["began"]
    return began


async def test_a_row_of_the_fleet_changes_in_place(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """The row of a shard shows its new primary, and the page finds shards as one types."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    old = await shard.primary()
    async with page_of(browser, web.address, "/ui/") as page:
        await expect(page.locator(".cell-primary")).to_have_text(str(old.alias))
        await page.evaluate("window.isTheSamePage = true")
        await old.kill_mysqld()
        new = await shard.replaced(old)
        await expect(page.locator(".cell-primary")).to_have_text(str(new.alias))
        await expect(page.get_by_role("button", name="sort again")).to_be_hidden()  # one row has no order
        await page.keyboard.press("/")
        await page.keyboard.type("no such shard")
        await expect(page.locator("li.row")).to_have_count(0)
        await page.locator("#find").fill(str(new.alias))
        await expect(page.locator("li.row")).to_have_count(1)
        assert await page.evaluate("window.isTheSamePage")


async def test_rows_move_only_when_an_operator_asks_for_it(browser: Browser) -> None:
    """A shard that gets a problem stays where it is under the pointer, until the page is asked to sort again."""
    spec = LabSpec(shards=("-80", "80-"), tablets=2, durability="none", topo="local")
    async with LabCluster(spec) as cluster, daemons_of(cluster) as daemons:
        web = await served(await daemons.start("--listen-address=127.0.0.1:0"))
        async with page_of(browser, web.address, "/ui/") as page:
            await expect(page.locator("h1")).to_have_text("All 2 shards are healthy.")
            rows, again = page.locator("li.row"), page.get_by_role("button", name="1 shard has changed: sort again")
            await expect(rows.first).to_contain_text("commerce/-80")
            primary = (await cluster.topo.shard(ShardId("commerce", "80-"))).primary_alias
            (replica,) = (cluster.tablet(each.alias) for each in spec.tablet_specs()[2:] if each.alias != primary)
            await replica.kill_mysqld()
            await expect(again).to_be_visible()
            await expect(rows.first).to_contain_text("commerce/-80")
            await again.click()
            await expect(again).to_be_hidden()
            await expect(rows.first).to_contain_text("commerce/80-")


async def test_a_page_says_when_it_is_out_of_date(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """While vtorc stands still, the page says what it shows and takes no action; then it goes on."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    async with page_of(browser, web.address, f"/ui/shards/{shard.id}/plan?kind=planned") as page:
        button = page.get_by_role("button", name="Carry it out")
        await expect(button).to_be_enabled()
        os.kill(vtorc.pid, signal.SIGSTOP)
        try:
            await expect(page.locator("#freshness")).to_contain_text("Disconnected: showing what was known as of")
            await expect(page.locator("#freshness")).to_contain_text("actions are off")
            await expect(button).to_be_disabled()
        finally:
            os.kill(vtorc.pid, signal.SIGCONT)
        await expect(page.locator("body")).not_to_have_class("is-stale")
        await expect(button).to_be_enabled()


async def test_a_disconnected_shard_leads_to_no_plan(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """While vtorc stands still, the links to plans lead nowhere and no replica can be dragged; then both work again."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    heir = (await shard.replicas())[0]
    async with page_of(browser, web.address, f"/ui/shards/{shard.id}") as page:
        plans = page.locator("a[href*='/plan']")
        await expect(plans).to_have_count(4)  # one for each replica, and two for the shard
        os.kill(vtorc.pid, signal.SIGSTOP)
        try:
            await expect(page.locator("#freshness")).to_contain_text("actions are off")
            await expect(plans).to_have_count(0)
            await expect(page.locator("[aria-disabled=true]")).to_have_count(4)
            await page.get_by_text("Plan a move to the best replica").click(force=True)
            await page.locator(f"[data-alias='{heir.alias}'] h3").hover()
            await page.mouse.down()
            await page.locator(".card-primary").hover()
            await page.locator(".card-primary").hover()
            await page.mouse.up()
            await expect(page.locator("#drop-hint")).to_be_hidden()
            assert page.url == f"http://{web.address}/ui/shards/{shard.id}"
        finally:
            os.kill(vtorc.pid, signal.SIGCONT)
        await expect(plans).to_have_count(4)
        await page.get_by_role("link", name="Plan a move to the best replica").click()
        await expect(page.locator("h1")).to_have_text(f"Move the primary of {shard.id}")


async def test_a_reader_sees_all_and_is_told_why_it_cannot_act(
    shard: Shard, daemons: Daemons, browser: Browser
) -> None:
    """On the read-only address each page says why nothing can be done, has no form that acts, and still shows plans."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0", "--read-only-address=127.0.0.1:0")
    line = await vtorc.wait_for(lambda line: line.get("listener") == "read-only")
    primary = await shard.primary()
    async with page_of(browser, line["address"], "/ui/") as page:
        await expect(page.locator("h1")).to_have_text("The shard is healthy.")
        for path in ("/ui/", "/ui/recoveries", "/ui/audit", "/ui/settings", f"/ui/shards/{shard.id}"):
            await page.goto(f"http://{line['address']}{path}")
            await expect(page.locator(".note")).to_contain_text("Here you can read only: it is for reading")
            await expect(page.locator("button[data-act], form[data-hold], [draggable]")).to_have_count(0)
        await expect(page.locator(".card-primary")).to_have_attribute("data-alias", str(primary.alias))
        await page.get_by_role("link", name="Plan a move to the best replica").click()
        await expect(page.locator("h1")).to_have_text(f"Move the primary of {shard.id}")
        await expect(page.locator(".steps li").first).to_be_visible()
        await expect(page.locator(".note")).to_contain_text("Here you can read only")
        await expect(page.locator("button, form")).to_have_count(0)


async def test_pages_can_be_read_without_scripts(shard: Shard, daemons: Daemons, browser: Browser) -> None:
    """A browser without JavaScript shows the fleet, finds a shard in it, and shows its tablets."""
    vtorc = await daemons.start_knowing("--listen-address=127.0.0.1:0")
    web = await served(vtorc)
    primary = await shard.primary()
    async with page_of(browser, web.address, "/ui/", scripts=False) as page:
        await page.get_by_label("Find").fill(str(primary.alias))
        await page.get_by_role("button", name="Show").click()
        await page.locator("li.row a").click()
        await expect(page.locator(".card-primary")).to_contain_text(str(primary.alias))
        await expect(page.locator(".card")).to_have_count(3)
