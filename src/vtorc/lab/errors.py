"""Errors of the lab, which runs real servers on one machine."""

from vtorc.errors import VtorcError


class PartMissing(VtorcError):
    """A server that the lab needs (mysqld, etcd) is not on this machine; the message says what was tried."""


class LabError(VtorcError):
    """An operation on a part of the lab (a server process, a data directory, a port) failed."""
