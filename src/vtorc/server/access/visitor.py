"""The client of the request that is being answered, and whether it may act."""

from contextvars import ContextVar
from dataclasses import dataclass

from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.frames import ProblemForm, ReplyFrame
from vtorc.server.asking import Forward
from vtorc.server.requests import problem_reply

HARMLESS = frozenset({"plan"})
"""Kinds of requests that change nothing, and are taken from all clients that may read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """A client that may read."""

    origin: str
    """The address that its request came from."""
    means: Means
    """How the server knows it."""
    name: str = ""
    """The operator, as the server knows it; empty if it does not."""
    role: Role = Role.READ
    """Its rights."""
    refusal: ProblemForm | None = None
    """Why it may only read; None if it may act."""
    keyspaces: tuple[str, ...] | None = None
    """The keyspaces that it may read and act on; None for all."""
    key: str = ""
    """Its key for the request (Idempotency-Key); empty for none."""

    def caller(self, actor: str) -> Caller:
        """Return what vtorc is told of it; `actor` stands for a name that is not known."""
        return Caller(
            actor=self.name or actor,
            origin=self.origin,
            means=self.means,
            role=self.role,
            keyspaces=self.keyspaces,
        )


CURRENT: ContextVar[Visitor] = ContextVar("visitor")
"""The client of the request of this task; the gate sets it before anything else sees the request."""


class AllowedActions:
    """An `Ask` that hands on what acts only if the client of the current request may act.

    All dialects ask through it, so that no route can forget to check. Outside a request it fails with LookupError.
    """

    def __init__(self, forward: Forward) -> None:
        self._forward = forward

    async def __call__(self, kind: str, arguments: dict[str, object], *, actor: str, origin: str) -> ReplyFrame:
        """Return vtorc's reply, or the reason why the client may not act; a known name replaces `actor`."""
        visitor = CURRENT.get()
        caller = visitor.caller(actor)
        if kind in HARMLESS or visitor.refusal is None:
            return await self._forward(kind, arguments, caller=caller, key=visitor.key)
        self._forward.report(kind, caller, visitor.refusal)
        return problem_reply(visitor.refusal)
