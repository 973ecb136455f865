"""The tablet's end of a health stream in a simulated world."""

import asyncio

from vtorc.sim.cluster.tablet import SimTablet
from vtorc.sim.engine.stream import End
from vtorc.tablet.api import HealthReport
from vtorc.vttablet.state import Health


def serve_health(target: SimTablet, end: End, reports: asyncio.Queue[HealthReport | None]) -> None:
    """Send a report now and at each change until the stream ends; runs at the tablet."""
    agent = target.agent
    if agent is None:
        end.close()
        return

    async def send() -> None:
        async for health in agent.state.watch_health():
            end.send(reports.put_nowait, _report(target, health))

    sender = end.life.spawn(send(), name="stream health")
    end.on_close = lambda: _cancel(sender)


def _cancel(task: "asyncio.Task[None]") -> None:
    task.cancel()


def _report(target: SimTablet, health: Health) -> HealthReport:
    return HealthReport(
        alias=target.config.alias,
        type=health.type,
        serving=health.serving,
        health_error=health.error,
        primary_term_start_seconds=health.term_seconds,
    )
