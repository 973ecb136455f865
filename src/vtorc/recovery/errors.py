"""The ways a recovery ends early: it fails, a rule refuses it, or an operator cancels it."""

from vtorc.core.facts.rules import Rule
from vtorc.errors import VtorcError


class RecoveryFailed(VtorcError):
    """A recovery could not be carried out.

    Its changes were put back as far as possible; the steps in its record say how far.
    """


class RecoveryCancelled(VtorcError):
    """A recovery was cancelled while all of its changes could be put back."""


class RecoveryRefused(VtorcError):
    """A recovery was refused because `rule` says that it would not be safe."""

    def __init__(self, message: str, *, rule: Rule) -> None:
        super().__init__(message)
        self.rule = rule
