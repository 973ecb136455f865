"""The two listeners of the server, which differ in five paths."""

import enum


class Listener(enum.Enum):
    """The listener that a request came in on; it decides what the paths mean that v12 and today's vtorc share."""

    V12 = "v12"
    """`--listen-address`, as in Vitess v11 to v13."""
    TODAY = "today"
    """`--port` with `--bind-address`, as since v14."""
