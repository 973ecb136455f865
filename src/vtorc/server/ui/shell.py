"""The top of each page: banners about the whole fleet, and the recoveries in progress."""

from dataclasses import dataclass

from vtorc.forms.frames import ProblemForm
from vtorc.forms.recovery import RunningForm
from vtorc.server.memory import ServerMemory
from vtorc.server.ui.words import capitalized


@dataclass(frozen=True, slots=True)
class Shell:
    """The frame around a page."""

    version: str
    """The version of vtorc; empty until it was told."""
    as_of: str | None
    """When vtorc gave its last sign of life, as RFC 3339; None if it gave none."""
    banners: tuple[str, ...]
    """Conditions of the whole fleet that hinder vtorc, each as a sentence."""
    running: tuple[RunningForm, ...]
    """The recoveries in progress, the oldest first."""
    keeps_history: bool
    """Whether pages can be shown as of a moment of the past."""
    may_not: str
    """Why the reader of the page may not act, as a sentence; empty for one that may."""


def shell_of(memory: ServerMemory, refusal: ProblemForm | None) -> Shell:
    """Return the frame as of now; `refusal` says why the reader may not act, None for one that may."""
    running = [shard.running for shard in memory.shards.values() if shard.running is not None]
    return Shell(
        version=memory.status.version if memory.status is not None else "",
        as_of=memory.heartbeat.at if memory.heartbeat is not None else None,
        banners=tuple(_banners(memory)),
        running=tuple(sorted(running, key=lambda recovery: recovery.began)),
        keeps_history=memory.status is not None and bool(memory.status.history_file),
        may_not=f"Here you can read only: {refusal.why}. To act, {refusal.do}." if refusal is not None else "",
    )


def _banners(memory: ServerMemory) -> list[str]:
    status = memory.status
    if status is None:
        return ["vtorc has not told yet what it knows: this page fills in a moment"]
    found: list[str] = []
    if not status.recoveries_allowed:
        found.append("Recoveries are switched off: vtorc watches and changes nothing")
    elif not status.emergency_reparents_allowed:
        found.append("Emergency reparents are switched off: vtorc replaces no lost primary")
    found += [capitalized(status.sharing)] if status.sharing else []
    found += [announcement.sentence for announcement in status.announcements]
    if memory.holds is not None:
        found += [f"Held: {hold.sentence}" for hold in memory.holds.holds if hold.scope == "fleet"]
    found += [f"Not read from the topology server: {failure}" for failure in status.topology_failures]
    return found
