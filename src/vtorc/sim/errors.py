"""Errors of the simulator; a message says what happened, to what, and what to do about it."""

from vtorc.errors import VtorcError


class SimError(VtorcError):
    """The simulated world stopped; the message says at which virtual second and which tasks were waiting for what."""


class SimPlanError(VtorcError):
    """The plan of a simulation is wrong; the message names key or word, its value and what was expected."""


class SimUnsupported(SimError):
    """Code asked the simulator for a thread, a socket or the like, which would differ from run to run."""


class SimDeadlock(SimError):
    """No callback is ready, no timer is set, and the run has not ended."""


class SimLivelock(SimError):
    """Callbacks go on without end at one instant of virtual time."""


class SimUnhandled(SimError):
    """A callback or a task ended with an error that was never retrieved."""
