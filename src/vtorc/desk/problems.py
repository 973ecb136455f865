"""The refusals of the desk, each with what was refused, why, and what to do about it."""

import msgspec

from vtorc.errors import VtorcError
from vtorc.forms.frames import ProblemForm, ReplyFrame

_TITLES = {
    403: "Not allowed",
    404: "Not found",
    409: "Conflict with the present state",
    422: "Wrong argument",
    429: "Too many requests",
    500: "Mistake of vtorc's own",
    503: "Not possible at the moment",
}
_SHOWN = 100
"""Most characters that are shown of a wrong value."""


class DeskRefusal(VtorcError):
    """A request is refused; `form` is what the operator is told."""

    def __init__(self, status: int, *, what: str, why: str, do: str) -> None:
        super().__init__(f"{what}: {why}; {do}")
        self.form = ProblemForm(title=_TITLES[status], status=status, what=what, why=why, do=do)

    @classmethod
    def argument(cls, key: str, value: object, expected: str) -> "DeskRefusal":
        """Return the refusal of a wrong argument."""
        shown = msgspec.json.encode(value).decode()
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return cls(
            422, what=f"{key}: {shown}", why=f"expected {expected}", do=f"send the request again with another {key}"
        )

    def reply(self, request: int) -> ReplyFrame:
        """Return the answer to the request of that number."""
        return ReplyFrame(id=request, status=self.form.status, body=msgspec.Raw(msgspec.json.encode(self.form)))
