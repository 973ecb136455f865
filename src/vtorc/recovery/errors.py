"""How a recovery ends early: it failed, or a rule refused it."""

from vtorc.core.facts.rules import Rule
from vtorc.errors import VtorcError


class RecoveryFailed(VtorcError):
    """A recovery could not be carried out; what it had changed was put back as far as possible, and the record says
    how far.
    """


class RecoveryRefused(VtorcError):
    """A recovery was not carried out because it would not be safe; `rule` names the rule that says so."""

    def __init__(self, message: str, *, rule: Rule) -> None:
        super().__init__(message)
        self.rule = rule
