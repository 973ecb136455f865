"""How the server asks vtorc for what it cannot answer itself: plans, and all that acts."""

from typing import Protocol

from vtorc.forms.access import Caller
from vtorc.forms.frames import ProblemForm, ReplyFrame


class Ask(Protocol):
    """Sends one request of an operator to vtorc."""

    async def __call__(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Return vtorc's reply; without one in time, a reply with status 503 or 504, and a `ProblemForm` as its body.

        `arguments` have the names of `/api/v1`, `actor` is the operator as the server knows it, and `origin` the
        address that the request came from.
        """
        ...


class Forward(Protocol):
    """Sends requests to vtorc with all that is known of their client."""

    async def __call__(self, kind: str, arguments: dict[str, object], *, caller: Caller, key: str) -> ReplyFrame:
        """Return vtorc's reply as `Ask` does; `key` is the client's key for the request, empty for none."""
        ...

    def report(self, action: str, caller: Caller, problem: ProblemForm) -> None:
        """Tell vtorc that the server refused a client's request; returns at once."""
        ...
