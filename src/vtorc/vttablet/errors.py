"""Errors of the small vttablet that the lab and the simulator run; the caller of an RPC gets their text."""

from vtorc.errors import VtorcError


class TabletActionError(VtorcError):
    """A tablet failed to carry out an RPC, for a reason other than an error of MySQL."""


class TabletPreconditionError(TabletActionError):
    """A tablet refused an RPC because of its state (`FAILED_PRECONDITION` on the wire)."""


class TabletAliasLost(TabletActionError):
    """Another process took this tablet's record, or an operator deleted it: the tablet must end."""
