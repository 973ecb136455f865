"""How fast the page of a large fleet is: `python -m bench.pages.speed [--shards 3000 --tablets 10000]`.

A made fleet in which 25 shards a second break, and as many heal, is served by a real server process to a Chromium.
Prints each figure with its bar, and exits with 1 if one is missed.
"""

import argparse
import asyncio
import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass, field

from playwright.async_api import Browser

from bench.pages.chromium import chromium, opened
from bench.server.arms import STARTS_WITHIN, Served
from bench.server.made_fleet import MadeFleet
from vtorc.app import daemon_facts, fleet_settings, open_tools
from vtorc.config.settings import Settings
from vtorc.control.fleet import Fleet
from vtorc.control.observer import Observers
from vtorc.control.scope import Scope
from vtorc.demo.report import percentile
from vtorc.lab.cluster import LabCluster, LabSpec
from vtorc.server.listener import Listener, bind
from vtorc.server.options import ServerRules
from vtorc.serving import HttpSide

PAINT_BAR, FRAMES_BAR, EVENT_BAR = 1.0, 50.0, 0.5
"""Seconds to the first paint, frames a second while scrolling, seconds until an event is on the screen."""

LOADS = 9
"""How often the page is loaded."""

SCROLLS_FOR = 4.0
"""Seconds of scrolling."""

WATCHES_FOR = 15.0
"""Seconds in which changes of the rows in sight are waited for."""

_PAINT = """() => new Promise(done => new PerformanceObserver(list => {
  const painted = list.getEntriesByName("first-contentful-paint")[0];
  if (painted) done(painted.startTime);
}).observe({type: "paint", buffered: true}))"""

_SCROLL = """seconds => new Promise(done => {
  const begun = performance.now(); let frames = 0, longest = 0, last = begun;
  const step = now => {
    frames++; longest = Math.max(longest, now - last); last = now;
    scrollBy(0, 45);
    if (now - begun < seconds * 1000) requestAnimationFrame(step);
    else done({rate: frames / ((now - begun) / 1000), longest});
  };
  requestAnimationFrame(step);
})"""

# Of each made error its moment is kept when a frame with it is drawn. A shift is of anything that moved by itself; a
# text that is longer than before, within its row, is none.
_WATCH = """most => new Promise(done => {
  let ages = []; const shifts = [], known = new Set();
  const end = () => done({ages, shifts});
  setTimeout(end, most);
  const look = () => requestAnimationFrame(() => {
    for (const [, at] of document.getElementById("rows").textContent.matchAll(/made at (\\d+)/g)) {
      if (known.has(at)) continue;
      known.add(at);
      ages.push(Date.now() / 1000 - Number(at) / 1e6);
    }
    if (ages.length >= 20) end();
  });
  look();
  requestAnimationFrame(() => setTimeout(() => { ages = []; }, 0));
  const rows = document.getElementById("rows");
  new MutationObserver(look).observe(rows, {subtree: true, childList: true, characterData: true});
  new PerformanceObserver(list => {
    for (const {node} of list.getEntries().flatMap(entry => [...entry.sources])) {
      const moved = node?.nodeType === Node.ELEMENT_NODE ? node : node?.parentElement;
      if (!moved?.closest(".row") || moved.matches(".row")) shifts.push(moved?.outerHTML.slice(0, 80) ?? "?");
    }
  }).observe({type: "layout-shift"});
})"""


@dataclass(slots=True)
class Figures:
    """What was measured."""

    paints: list[float] = field(default_factory=list)
    """Seconds from the navigation to the first paint with content, of each load."""
    frames: float = 0.0
    """Frames a second while scrolling."""
    longest: float = 0.0
    """Seconds of the longest frame while scrolling."""
    ages: list[float] = field(default_factory=list)
    """Seconds from a change to the frame that shows it."""
    shifts: list[str] = field(default_factory=list)
    """The elements that moved while rows changed, by the begin of their markup."""


@asynccontextmanager
async def served_fleet(shards: int, tablets: int) -> AsyncIterator[Served]:
    """Serve a made fleet; gives its server once that knows all shards."""
    async with AsyncExitStack() as stack:
        cluster = LabCluster(LabSpec(topo="local"))
        stack.push_async_callback(cluster.stop)
        await cluster.start_topo()
        access = cluster.topo_settings
        settings = Settings(
            topo_implementation=access.implementation,
            topo_global_server_address=",".join(access.global_server_address),
            topo_global_root=access.global_root,
        )
        tools, _ = await stack.enter_async_context(open_tools(lambda: settings))
        listener = bind(Listener.V12, "127.0.0.1", 0)
        stack.enter_context(closing(listener.sock))
        side = HttpSide(
            [listener],
            ServerRules(),
            tools,
            fleet=lambda: fleet,
            facts=lambda: daemon_facts(settings, fleet, (), ()),
            audit=(),
        )
        scope = Scope.parse(settings.clusters_to_watch)
        fleet = Fleet(tools, lambda: fleet_settings(settings, scope), Observers(side.observers))
        made = MadeFleet(shards, tablets, now=tools.clock.now)
        await stack.enter_async_context(side.serving())
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = group.create_task(made.run(side.observers), name="made fleet")
        try:
            host, port = listener.sock.getsockname()
            served = Served(host, port, shards)
            async with asyncio.timeout(STARTS_WITHIN):
                await served.wait_complete()
            yield served
        finally:
            running.cancel()


async def measure(shards: int, tablets: int) -> Figures:
    """Serve the fleet, look at its page, and return what was measured."""
    figures = Figures()
    async with served_fleet(shards, tablets) as served, chromium() as browser:
        url = f"http://{served.host}:{served.port}/ui/"
        for _ in range(LOADS):
            async with opened(browser, url) as page:
                figures.paints.append(await page.evaluate(_PAINT) / 1000)
        async with opened(browser, url) as page:
            await page.wait_for_selector("#rows .gap", state="attached")
            scrolled: dict[str, float] = await page.evaluate(_SCROLL, SCROLLS_FOR)
            figures.frames, figures.longest = scrolled["rate"], scrolled["longest"] / 1000
        await _watch(browser, url, figures)
    return figures


async def _watch(browser: Browser, url: str, figures: Figures) -> None:
    """Watch the rows of the keyspace whose shards break next, until some have changed."""
    async with opened(browser, f"{url}?code=ReplicationStopped") as page:
        names: Sequence[str] = await page.eval_on_selector_all("#rows .cell-name", "all => all.map(a => a.textContent)")
        latest = max(int(found.group(1)) for name in names if (found := re.match(r"made(\d+)/", name)))
    async with opened(browser, f"{url}?keyspace=made{latest + 1}") as page:
        await page.wait_for_selector("#rows .gap", state="attached")
        await page.mouse.move(600, 500)
        told = await page.evaluate(_WATCH, WATCHES_FOR * 1000)
        figures.ages, figures.shifts = told["ages"], told["shifts"]


def write(figures: Figures) -> bool:
    """Print each figure with its bar; returns whether all are met."""
    paint, age = percentile(figures.paints, 95), percentile(figures.ages, 95)
    moved = len(figures.shifts)
    rows = (
        ("first paint, p95", paint is not None and paint <= PAINT_BAR, paint, f"at most {PAINT_BAR:g} s"),
        ("frames a second while scrolling", figures.frames >= FRAMES_BAR, figures.frames, f"at least {FRAMES_BAR:g}"),
        ("event on the screen, p95", age is not None and age <= EVENT_BAR, age, f"at most {EVENT_BAR:g} s"),
        ("moved under the pointer", moved == 0, moved, "nothing"),
    )
    for name, is_within, figure, bar in rows:
        shown = "–" if figure is None else f"{figure:.3g}"
        sys.stdout.write(f"{'pass' if is_within else 'MISS'}  {name}: {shown}, the bar is {bar}\n")
    sys.stdout.write(
        f"{len(figures.paints)} loads, longest frame {figures.longest * 1000:.0f} ms, {len(figures.ages)} events, "
        f"p50 {_ms(percentile(figures.ages, 50))}\n"
    )
    for shift in figures.shifts:
        sys.stdout.write(f"moved: {shift}\n")
    return all(is_within for _, is_within, _, _ in rows)


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.0f} ms"


def main() -> int:
    """Read the command line and measure; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages.speed", description=__doc__)
    parser.add_argument("--shards", type=int, default=3000)
    parser.add_argument("--tablets", type=int, default=10000)
    options = parser.parse_args()
    return 0 if write(asyncio.run(measure(options.shards, options.tablets))) else 1


if __name__ == "__main__":
    sys.exit(main())
