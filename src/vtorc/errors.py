"""Every exception that crosses a module boundary, in one tree.

A message tells its reader what happened, to what, and what to do about it.
"""


class VtorcError(Exception):
    """Base of all errors that vtorc raises on purpose."""
