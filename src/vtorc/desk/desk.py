"""Answers the requests of operators: plans, their execution and cancellation, and holds."""

import itertools
from collections.abc import Awaitable, Callable
from typing import cast, get_args

import msgspec
import structlog

from vtorc.control.facade import FleetFacade
from vtorc.control.operator_command import CommandWork, OperatorCommand
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.basis import PlanBasis, ShardRevisions
from vtorc.desk.holds import Answer, HoldDesk
from vtorc.desk.outlook import Outlook, OutlookMaker
from vtorc.desk.plans import Plan, PlanBook
from vtorc.desk.problems import DeskRefusal
from vtorc.discovery.watch import ShardWatch
from vtorc.forms.frames import ReplyFrame, RequestFrame
from vtorc.forms.plan import PlanKind
from vtorc.forms.recovery import recovery_id, running_form
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.commands import Commands
from vtorc.recovery.record import BegunRecovery, OperatorRequest, RecoveryRecord
from vtorc.recovery.session import RecoveryTools, StepListener

KINDS: tuple[PlanKind, ...] = get_args(PlanKind)
"""The kinds of plans."""

_RECOVERIES: dict[PlanKind, Recovery] = {
    "planned": Recovery.PLANNED_REPARENT,
    "emergency": Recovery.EMERGENCY_REPARENT,
    "forced": Recovery.EMERGENCY_REPARENT,
}

_log = structlog.get_logger("vtorc")


class Desk:
    """The desk of one vtorc; it never raises, and does nothing by itself."""

    def __init__(self, fleet: FleetFacade) -> None:
        self._fleet = fleet
        self._clock = fleet.tools.clock
        self._book = PlanBook(self._clock.now)
        self._revisions = ShardRevisions()
        self._gaps: dict[ShardId, float] = {}
        self._numbers = itertools.count(1)
        holds = HoldDesk(fleet)
        self._answers: dict[str, Callable[[RequestArguments, RequestFrame], Awaitable[Answer]]] = {
            "plan": self._plan,
            "execute": self._execute,
            "cancel": self._cancel,
            "recoveries": holds.switch_recoveries,
            "hold": holds.hold,
            "lift": holds.lift,
        }

    async def answer(self, request: RequestFrame) -> ReplyFrame:
        """Return the answer to a request; an execution is answered as soon as it has been taken on."""
        try:
            answer = self._answers.get(request.kind)
            if answer is None:
                raise DeskRefusal.argument("kind", request.kind, f"one of {', '.join(self._answers)}")
            status, body = await answer(RequestArguments(request.kind, request.arguments), request)
        except DeskRefusal as refusal:
            _log.warning(f"refused: {refusal}", request=request.kind, actor=request.actor, origin=request.origin)
            return refusal.reply(request.id)
        except Exception as error:
            _log.error(f"a request of {request.actor} failed in vtorc itself", request=request.kind, exc_info=error)
            mistake = DeskRefusal(
                500,
                what=request.kind,
                why=f"vtorc itself failed ({type(error).__name__}: {error})",
                do="report this with the traceback in the log",
            )
            return mistake.reply(request.id)
        return ReplyFrame(id=request.id, status=status, body=msgspec.Raw(msgspec.json.encode(body)))

    # --- plans

    async def _plan(self, arguments: RequestArguments, _: RequestFrame) -> Answer:
        shard = arguments.shard()
        kind = cast(PlanKind, arguments.choice("kind", KINDS))
        to = arguments.alias_or_none("to")
        arguments.end()
        if kind == "forced" and to is None:
            raise DeskRefusal.argument("to", None, "the alias of the tablet to promote, as a forced reparent names it")
        if kind == "emergency" and to is not None:
            raise DeskRefusal.argument("to", str(to), "null, as an emergency reparent elects; forced names a tablet")
        outlook, basis = await self._outlook(kind, shard, to)
        plan = Plan(
            id=f"{self._clock.wall()}-{next(self._numbers)}",
            kind=kind,
            basis=basis,
            revision=self._revisions.of(basis),
            outlook=outlook,
            created=self._clock.now(),
            created_wall=self._clock.wall(),
        )
        self._book.add(plan)
        return 200, plan.form()

    async def _outlook(self, kind: PlanKind, shard: ShardId, to: TabletAlias | None) -> tuple[Outlook, PlanBasis]:
        """Return what a reparent would do, and the facts that it was told from: those before any wait."""
        basis = self._basis(shard)
        if basis.policy is None:
            refusal = (
                "every change needs a durability policy that vtorc knows; set one with SetKeyspaceDurabilityPolicy"
            )
            return Outlook(refusal=refusal), basis
        if not self._fleet.is_controlled(shard):
            refusal = "the shard is not among the clusters to watch; ask the vtorc that acts on it"
            return Outlook(refusal=refusal), basis
        maker = OutlookMaker(self._fleet.tools, basis.view, basis.policy, self._gaps.get(shard))
        match kind:
            case "planned":
                return await maker.planned(to), basis
            case "emergency":
                return await maker.emergency(), basis
            case "forced":
                assert to is not None
                return maker.forced(to), basis

    def _basis(self, shard: ShardId) -> PlanBasis:
        view = self._fleet.view(shard)
        if view is None:
            raise DeskRefusal(
                404, what=str(shard), why="this vtorc watches no such shard", do="look at the list of shards"
            )
        return PlanBasis.of(view, self._fleet.policy(shard), self._fleet.decisions(shard))

    # --- executions

    async def _execute(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        name = arguments.text("plan", "the id of a plan")
        reason = arguments.reason()
        accept_loss = arguments.flag("accept_loss", default=False)
        arguments.end()
        plan = self._book.to_execute(name)
        self._check_still_holds(plan)
        if plan.outlook.risk and not accept_loss:
            raise DeskRefusal(
                409,
                what="accept_loss: false",
                why=f"the plan may lose writes: {plan.outlook.risk}",
                do="execute it with accept_loss true if that is to be accepted, or choose another plan",
            )
        self._book.check_rate(plan.shard)
        if (under_way := self._fleet.under_way(plan.shard)) is not None:
            raise DeskRefusal(
                409,
                what=str(plan.shard),
                why=f"a recovery is in progress: {under_way.sentence}",
                do="wait until it has ended, and make a new plan",
            )
        begun = BegunRecovery(
            shard=plan.shard,
            recovery=_RECOVERIES[plan.kind],
            code=None,
            alias=plan.outlook.to,
            began=self._clock.wall(),
            sentence=f"{plan.shard}: {request.actor} asked to {plan.change}{_overruled(plan)}: {reason}",
            asked=OperatorRequest(actor=request.actor, origin=request.origin, reason=reason),
        )
        self._book.note_execution(plan, recovery_id(begun))
        self._fleet.carry_out(OperatorCommand(begun, self._work_of(plan, begun)))
        return 202, {"recovery": running_form(begun, ())}

    def _check_still_holds(self, plan: Plan) -> None:
        if plan.outlook.refusal is not None:
            raise DeskRefusal(
                409, what=f"plan {plan.id}", why=plan.outlook.refusal, do="mend what is told there, and make a new plan"
            )
        if changed := plan.basis.changes(self._basis(plan.shard)):
            raise DeskRefusal(
                409,
                what=f"plan {plan.id}",
                why=f"the shard has changed since the plan was made: {changed}",
                do="make a new plan, and read it before it is executed",
            )

    def _work_of(self, plan: Plan, begun: BegunRecovery) -> CommandWork:
        """Return the work that carries a plan out, under the policy that it was made with."""
        policy, to, accepted = plan.basis.policy, plan.outlook.to, plan.outlook.data_loss
        assert policy is not None
        assert to is not None

        async def work(
            tools: RecoveryTools, watch: ShardWatch, heard: StepListener, switch: CancelSwitch
        ) -> RecoveryRecord:
            commands = Commands(tools, watch, heard, switch)
            match plan.kind:
                case "planned":
                    record = await commands.planned_reparent(policy, to, begun=begun)
                case "emergency":
                    record = await commands.emergency_reparent(policy, begun=begun)
                case "forced":
                    record = await commands.force_promotion(policy, to, accepted, begun=begun)
            self._note_gap(record)
            return record

        return work

    def _note_gap(self, record: RecoveryRecord) -> None:
        """Remember for how long clients could not write, if the record tells.

        Writes pause as soon as the demotion begins, and under semi-sync MySQL takes up to a second to end it.
        """
        begins = record.marks.get("stopped")
        if "demoted" in record.marks:
            begins = next(step.started for step in record.steps if step.name == "demote primary")
        ends = record.marks.get("acknowledged")
        if begins is not None and ends is not None:
            self._gaps[record.shard] = ends - begins

    # --- the others

    async def _cancel(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        shard = arguments.shard()
        reason = arguments.reason()
        arguments.end()
        self._basis(shard)
        begun = self._fleet.under_way(shard)
        if begun is None:
            raise DeskRefusal(409, what=str(shard), why="no recovery is in progress", do="look at the last recoveries")
        if begun.asked is None:
            raise DeskRefusal(
                409,
                what=str(shard),
                why="vtorc began the recovery by itself, and would begin it again at once",
                do="stop recoveries if vtorc must not act; this one ends by itself",
            )
        if not self._fleet.cancel(shard, f"{request.actor} asked for that: {reason}"):
            raise DeskRefusal(
                409,
                what=str(shard),
                why="the recovery is past its point of no return, or is being put back already",
                do="wait until it has ended",
            )
        return 202, {"recovery": running_form(begun, ())}


def _overruled(plan: Plan) -> str:
    """Return that a forced plan promotes a tablet against a hold, as a part of a sentence; empty if it does not."""
    to = plan.outlook.to
    why = plan.basis.view.holds.why_not_promoted(to) if plan.kind == "forced" and to is not None else ""
    return f", although it {why}" if why else ""
