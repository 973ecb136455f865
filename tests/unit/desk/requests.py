"""An operator that asks a desk, and reads the answers."""

from typing import Any

import msgspec

from vtorc.control.log_observer import LogObserver
from vtorc.desk.desk import Desk
from vtorc.forms.access import Caller, Means, Role
from vtorc.forms.frames import ProblemForm, ReplyFrame, RequestFrame
from vtorc.forms.plan import PlanForm
from vtorc.sim.cluster.vtorc import SimVtorc

SHARD = "commerce/0"


def caller(
    actor: str = "ann",
    *,
    role: Role = Role.ADMIN,
    means: Means = Means.HOST,
    keyspaces: tuple[str, ...] | None = None,
) -> Caller:
    """Return a client; by default one that may do all."""
    return Caller(actor=actor, origin="127.0.0.1", means=means, role=role, keyspaces=keyspaces)


ANN = caller()


class Asking:
    """Asks one desk; each answer is what the server would get."""

    def __init__(self, desk: Desk, by: Caller = ANN) -> None:
        self.desk = desk
        self.by = by

    async def ask(self, request: str, /, **arguments: object) -> ReplyFrame:
        """Ask for anything."""
        return await self.desk.answer(RequestFrame(id=7, kind=request, arguments=arguments, caller=self.by))

    async def plan(self, kind: str = "planned", *, to: str | None = None, shard: str = SHARD) -> PlanForm:
        """Ask for a plan, which must be made."""
        reply = await self.ask("plan", shard=shard, kind=kind, to=to)
        assert reply.status == 200, reply.body
        return msgspec.json.decode(reply.body, type=PlanForm)

    async def execute(self, plan: PlanForm | str, *, accept_loss: bool = False) -> ReplyFrame:
        """Ask to execute a plan."""
        name = plan if isinstance(plan, str) else plan.id
        return await self.ask("execute", plan=name, reason="a drill", accept_loss=accept_loss)

    async def cancel(self, *, shard: str = SHARD) -> ReplyFrame:
        """Ask to cancel the command on a shard."""
        return await self.ask("cancel", shard=shard, reason="too late at night")


def problem_of(reply: ReplyFrame) -> ProblemForm:
    """Return the problem that a reply tells; the test fails if it tells none."""
    return msgspec.json.decode(reply.body, type=ProblemForm)


def fields_of(reply: ReplyFrame) -> Any:
    """Return the body of a reply as plain values."""
    return msgspec.json.decode(reply.body)


def desk_of(vtorc: SimVtorc) -> Asking:
    """Return an operator at the desk of a simulated vtorc."""
    assert vtorc.facade is not None
    return Asking(Desk(vtorc.facade, audit=LogObserver()))
