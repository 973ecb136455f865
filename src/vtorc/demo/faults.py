"""The faults that an operator can bring about in a demo, by a key, from another terminal, or in a series."""

from dataclasses import dataclass

from vtorc.lab.errors import LabError


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoFault:
    """One row of the catalogue."""

    name: str
    """Its name on the command line."""
    key: str
    """The key that brings it about."""
    what: str
    """The event in words, with a place for the name of the tablet."""
    of_tablet: bool
    """Whether it is about one tablet; the others are about the whole cluster."""
    ends_writes: bool
    """Whether vtorc replaces a primary that has it, so that a series of failovers can be made of it."""

    @property
    def help(self) -> str:
        """The event in words, for any tablet."""
        return self.what.format("a tablet")


FAULTS = {
    fault.name: fault
    for fault in (
        DemoFault(
            name="kill-mysqld",
            key="k",
            what="kill -9 of the mysqld of {}",
            of_tablet=True,
            ends_writes=True,
        ),
        DemoFault(
            name="stop-mysqld",
            key="p",
            what="SIGSTOP to the mysqld of {}",
            of_tablet=True,
            ends_writes=True,
        ),
        DemoFault(
            name="silent-host",
            key="h",
            what="the mysqld and the tablet manager of {} hang, as behind a cut network",
            of_tablet=True,
            ends_writes=True,
        ),
        DemoFault(
            name="kill-host",
            key="x",
            what="kill -9 of the mysqld and the tablet manager of {}",
            of_tablet=True,
            ends_writes=True,
        ),
        DemoFault(
            name="stall-disk",
            key="d",
            what="the disk of {} takes no more writes",
            of_tablet=True,
            ends_writes=True,
        ),
        DemoFault(
            name="kill-tablet",
            key="t",
            what="kill -9 of the tablet manager of {}; its mysqld goes on, and no primary is replaced for that",
            of_tablet=True,
            ends_writes=False,
        ),
        DemoFault(
            name="end-vtorc",
            key="v",
            what="vtorc ends; nothing is repaired until it runs again",
            of_tablet=False,
            ends_writes=False,
        ),
        DemoFault(
            name="kill-etcd",
            key="e",
            what="kill -9 of the topology server; without it vtorc can lock no shard",
            of_tablet=False,
            ends_writes=False,
        ),
    )
}
"""All faults by name."""

BY_KEY = {fault.key: fault for fault in FAULTS.values()}
"""The same by key."""

OF_SERIES = tuple(fault.name for fault in FAULTS.values() if fault.ends_writes)
"""Those of which a series can be made."""


def fault_named(name: str) -> DemoFault:
    """Return the fault of that name; raises LabError."""
    fault = FAULTS.get(name)
    if fault is None:
        raise LabError(f"{name!r}: expected one of {', '.join(FAULTS)}")
    return fault
