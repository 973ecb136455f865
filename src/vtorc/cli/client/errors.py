"""The errors between the command line and vtorc; each message says what to do."""

from vtorc.errors import VtorcError
from vtorc.forms.frames import ProblemForm


class ServerUnreachable(VtorcError):
    """vtorc could not be connected to, or broke off its answer."""


class AnswerNotUnderstood(VtorcError):
    """The answer is not one of `/api/v1` in this version."""


class WrongWords(VtorcError):
    """The words of the command line ask for something that cannot be."""


class RequestRefused(VtorcError):
    """vtorc refused the request, or failed at it; `body` is the answer as it came."""

    def __init__(self, problem: ProblemForm, body: bytes) -> None:
        super().__init__(f"{problem.what}: {problem.why}; {problem.do}")
        self.problem = problem
        self.body = body

    @property
    def is_refusal(self) -> bool:
        """Whether vtorc understood the request and refuses it by its rules, so that the words were not at fault."""
        return self.problem.status in (401, 403, 409, 429)


class OutputFailed(VtorcError):
    """The text could not be written."""


class RecoveryLost(VtorcError):
    """A recovery that was followed is neither in progress nor recorded."""
