"""The list of what is broken in a demo, as its pages are told: the real state of the servers, whatever vtorc sees of
them.
"""

from collections.abc import Iterable

from vtorc.core.facts.ids import TabletAlias
from vtorc.demo.faults import FAULTS
from vtorc.demo.servers import DemoTablet
from vtorc.server.demo_door import DemoFaultForm, DemoStateForm, DemoTabletForm

_STATES = {"down": "is down", "paused": "hangs"}
_DISKS = {"stalled": "its disk takes no writes", "full": "its disk is full"}


def state_of(
    tablets: Iterable[DemoTablet], primary: TabletAlias | None, *, has_vtorc: bool, has_topology: bool
) -> DemoStateForm:
    """Return the state of a demo; `primary` is the one by vtorc's last judgement, None if there is none."""
    return DemoStateForm(
        tablets=[
            DemoTabletForm(alias=str(tablet.alias), is_primary=tablet.alias == primary, broken=broken_parts(tablet))
            for tablet in tablets
        ],
        has_vtorc=has_vtorc,
        has_topology=has_topology,
        faults=[
            DemoFaultForm(name=fault.name, button=fault.button, help=fault.help, of_tablet=fault.of_tablet)
            for fault in FAULTS.values()
        ],
    )


def broken_parts(tablet: DemoTablet) -> list[str]:
    """Say of each part of a tablet that does not run what is wrong with it."""
    parts = (("mysqld", tablet.mysqld_state), ("tablet manager", tablet.tablet_state))
    found = [f"its {part} {_STATES[state]}" for part, state in parts if state in _STATES]
    if disk := _DISKS.get(tablet.disk_state):
        found.append(disk)
    return [*found, "its mysqld takes no new connections"] if tablet.refuses_connections else found
