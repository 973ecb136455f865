"""Errors of the simulator; a message tells its reader what happened, to what, and what to do about it."""

from vtorc.errors import VtorcError


class SimError(VtorcError):
    """The simulated world stopped; the message says at which virtual second and who was waiting for what."""


class SimPlanError(VtorcError):
    """What is to be simulated makes no sense; the message names key or word, its value and what was expected."""


class SimUnsupported(SimError):
    """Code asked the simulator for a thread, a socket or another thing that differs from run to run."""


class SimDeadlock(SimError):
    """Nothing is ready, no timer is set and the run has not ended."""


class SimLivelock(SimError):
    """Callbacks go on and on at one instant of virtual time."""


class SimUnhandled(SimError):
    """A callback or a task ended with an error that nobody received."""
