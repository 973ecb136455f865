"""The faults that an operator can bring about in a demo, by a key, from another terminal, or in a series."""

import enum
from dataclasses import dataclass

from vtorc.lab.errors import LabError


class Consequence(enum.Enum):
    """The end that a fault has for a primary."""

    REPLACED = "replaced"
    """vtorc makes another tablet the primary by itself."""
    MOVED = "moved"
    """Nothing breaks: an operator has vtorc make another tablet the primary."""
    STAYS = "stays"
    """It stays primary, and vtorc says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFault:
    """One row of the catalogue."""

    name: str
    """Its name on the command line."""
    button: str
    """The words on its button in the pages."""
    key: str
    """The key that brings it about."""
    what: str
    """The event in words, with a place for the name of the tablet."""
    of_tablet: bool
    """Whether it is about one tablet; the others are about the whole cluster."""
    primary: Consequence
    """The end that it has for a primary."""

    @property
    def help(self) -> str:
        """The event in words, for any tablet."""
        return self.what.format("a tablet")


FAULTS = {
    fault.name: fault
    for fault in (
        DemoFault(
            name="kill-mysqld",
            button="Kill mysqld",
            key="k",
            what="kill -9 of the mysqld of {}",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="stop-mysqld",
            button="Stop mysqld",
            key="p",
            what="SIGSTOP to the mysqld of {}",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="silent-host",
            button="Silent host",
            key="h",
            what="mysqld and tablet manager of {} hang, as behind a cut network",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="kill-host",
            button="Kill host",
            key="x",
            what="kill -9 of the mysqld and the tablet manager of {}",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="stall-disk",
            button="Stall disk",
            key="d",
            what="the disk of {} takes no more writes",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="full-disk",
            button="Full disk",
            key="f",
            what="the disk of {} is full, so that commits wait for space",
            of_tablet=True,
            primary=Consequence.REPLACED,
        ),
        DemoFault(
            name="refuse-connections",
            button="Refuse connections",
            key="c",
            what="the mysqld of {} takes no new connections; those that exist go on",
            of_tablet=True,
            primary=Consequence.STAYS,
        ),
        DemoFault(
            name="kill-tablet",
            button="Kill tablet",
            key="t",
            what="kill -9 of the tablet manager of {}; its mysqld goes on, and no primary is replaced for that",
            of_tablet=True,
            primary=Consequence.STAYS,
        ),
        DemoFault(
            name="planned",
            button="Move the primary",
            key="m",
            what="an operator moves the primary away from {}",
            of_tablet=True,
            primary=Consequence.MOVED,
        ),
        DemoFault(
            name="end-vtorc",
            button="End vtorc",
            key="v",
            what="vtorc ends; nothing is repaired until it runs again",
            of_tablet=False,
            primary=Consequence.STAYS,
        ),
        DemoFault(
            name="kill-etcd",
            button="Kill etcd",
            key="e",
            what="kill -9 of the topology server; without it vtorc can lock no shard",
            of_tablet=False,
            primary=Consequence.STAYS,
        ),
    )
}
"""All faults by name."""

BY_KEY = {fault.key: fault for fault in FAULTS.values()}
"""The same by key."""

OF_SERIES = tuple(fault.name for fault in FAULTS.values() if fault.of_tablet)
"""Those that a primary can have, so that a series can be made of them."""


def fault_named(name: str) -> DemoFault:
    """Return the fault of that name; raises LabError."""
    fault = FAULTS.get(name)
    if fault is None:
        raise LabError(f"{name!r}: expected one of {', '.join(FAULTS)}")
    return fault
