"""Errors of the small vttablet that the lab and the simulator run; their text is what the caller of an RPC reads."""

from vtorc.errors import VtorcError


class TabletActionError(VtorcError):
    """A tablet of the lab could not carry out an RPC for a reason that is not MySQL's; the text is what its caller
    reads.
    """


class TabletPreconditionError(TabletActionError):
    """A tablet of the lab refused an RPC because of the state it is in (`FAILED_PRECONDITION` on the wire)."""


class TabletAliasLost(TabletActionError):
    """Another process took this tablet's record, or somebody deleted it: the tablet must end."""
