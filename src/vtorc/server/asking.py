"""How the server asks vtorc for what it cannot answer itself: plans, and all that acts."""

from typing import Protocol

from vtorc.forms.frames import ReplyFrame


class Ask(Protocol):
    """Sends one request of an operator to vtorc."""

    async def __call__(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Return vtorc's reply; without one in time, a reply with status 503 or 504, and a `ProblemForm` as its body.

        `arguments` have the names of `/api/v1`, `actor` is the operator as the server knows it, and `origin` the
        address that the request came from.
        """
        ...
