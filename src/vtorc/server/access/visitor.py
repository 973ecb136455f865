"""The client of the request that is being answered, and whether it may act."""

from contextvars import ContextVar
from dataclasses import dataclass

from vtorc.forms.frames import ProblemForm, ReplyFrame
from vtorc.server.asking import Ask
from vtorc.server.requests import problem_reply

HARMLESS = frozenset({"plan"})
"""Kinds of requests that change nothing, and are taken from all clients that may read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A client that may read."""

    origin: str
    """The address that its request came from."""
    name: str = ""
    """The operator, as the server knows it; empty if it does not."""
    refusal: ProblemForm | None = None
    """Why it may not act; None if it may."""


CURRENT: ContextVar[Visitor] = ContextVar("visitor")
"""The client of the request of this task; the gate sets it before anything else sees the request."""


class AllowedActions:
    """An `Ask` that hands on what acts only if the client of the current request may act.

    All dialects ask through it, so that no route can forget to check. Outside a request it fails with LookupError.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def __call__(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Return vtorc's reply, or the reason why the client may not act; a known name replaces `actor`."""
        visitor = CURRENT.get()
        if kind in HARMLESS or visitor.refusal is None:
            return await self._ask(kind, arguments, actor=visitor.name or actor, origin=origin)
        return problem_reply(visitor.refusal)
