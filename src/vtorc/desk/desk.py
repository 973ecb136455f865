"""Answers the requests of operators: plans, their execution and cancellation, and holds."""

import itertools
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard, cast, get_args

import msgspec
import structlog
from msgspec import structs

from vtorc.control.facade import FleetFacade
from vtorc.control.note_book import NoteBook, PassingNotes
from vtorc.control.observer import AuditObserver, AuditObservers
from vtorc.control.operator_command import CommandWork, OperatorCommand
from vtorc.control.token_book import TokenBook
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.ids import ShardId, TabletAlias
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.auditor import Auditor
from vtorc.desk.basis import PlanBasis, ShardRevisions
from vtorc.desk.clearance import Clearance, Needs, need
from vtorc.desk.holds import Answer, HoldDesk
from vtorc.desk.notes import NoteDesk
from vtorc.desk.outlook import Outlook, OutlookMaker
from vtorc.desk.plans import Plan, PlanBook
from vtorc.desk.problems import DeskRefusal
from vtorc.desk.rates import Pace, Rates
from vtorc.desk.repeats import Repeats
from vtorc.desk.shards import check_free, view_of, why_not_changed
from vtorc.desk.tablet_desk import TabletDesk
from vtorc.desk.token_desk import TokenDesk
from vtorc.discovery.watch import ShardWatch
from vtorc.forms.access import Role
from vtorc.forms.base import Form
from vtorc.forms.frames import REFUSED, RefusalForm, ReplyFrame, RequestFrame
from vtorc.forms.plan import PlanKind
from vtorc.forms.recovery import RunningForm, recovery_id, running_form
from vtorc.forms.settings import ReloadForm
from vtorc.recovery.cancelling import CancelSwitch
from vtorc.recovery.commands import Commands
from vtorc.recovery.outage_marks import OutageMark
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


Handler = Callable[[RequestArguments, RequestFrame], Awaitable[Answer]]

ACTS_A_MINUTE = 10
"""Requests that change servers, of one operator and of one shard within a minute, unless a setting says otherwise."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of request."""

    handler: Handler
    """Answers it."""
    needs: Needs
    """The rights that its client needs."""
    has_secret: bool = False
    """Whether its answer is told once, and not kept for a client that asks again."""


class Desk:
    """The desk of one vtorc; it never raises, and does nothing by itself."""

    def __init__(
        self,
        fleet: FleetFacade,
        *,
        audit: AuditObserver | None = None,
        tokens: TokenBook | None = None,
        notes: NoteBook | None = None,
        reload: Callable[[], Awaitable[ReloadForm]] | None = None,
        acts_a_minute: Callable[[], int] = lambda: ACTS_A_MINUTE,
    ) -> None:
        """Answer about `fleet`, and tell `audit` of what acts; without `notes` and `tokens` they last as long as the
        desk.

        `reload` reads the settings again; None if there are none to read. `acts_a_minute` is asked again each time; 0
        is no limit.
        """
        self._fleet = fleet
        self._clock = fleet.tools.clock
        self._book = PlanBook(self._clock.now)
        self._revisions = ShardRevisions()
        self._rates = Rates(self._clock.now, acts_a_minute)
        self._repeats = Repeats(self._clock.now)
        self.auditor = Auditor(audit if audit is not None else AuditObservers(()), self._clock)
        """Tells of what acts."""
        self._gaps: dict[ShardId, float] = {}
        self._numbers = itertools.count(1)
        tablets = TabletDesk(fleet)
        holds = HoldDesk(fleet)
        bearer = TokenDesk(tokens if tokens is not None else TokenBook(), self._clock)
        of_tokens = Needs(role=Role.ADMIN, pace=Pace.ORDER, all_keyspaces=True, known_client=True)
        noted = NoteDesk(fleet, notes if notes is not None else NoteBook(PassingNotes(), self._clock))
        self._reload = reload
        order = Needs(role=Role.OPERATE, pace=Pace.ORDER)
        fleet_wide = Needs(role=Role.ADMIN, pace=Pace.ORDER, all_keyspaces=True)
        self._kinds: dict[str, _Kind] = {
            "plan": _Kind(self._plan, Needs(role=Role.READ, pace=Pace.PLAN)),
            "execute": _Kind(self._execute, Needs(role=Role.OPERATE, pace=Pace.ACT)),
            "cancel": _Kind(self._cancel, order),
            "command": _Kind(tablets.command, Needs(role=Role.OPERATE, pace=Pace.ACT)),
            "probe": _Kind(tablets.probe, order),
            "recoveries": _Kind(holds.switch_recoveries, fleet_wide),
            "hold": _Kind(holds.hold, order),
            "lift": _Kind(holds.lift, order),
            "acknowledge": _Kind(noted.acknowledge, Needs(role=Role.OPERATE, pace=Pace.ORDER, all_keyspaces=True)),
            "tag": _Kind(noted.tag, order),
            "untag": _Kind(noted.untag, order),
            "reload": _Kind(self._read_settings, fleet_wide),
            "token_add": _Kind(bearer.add, of_tokens, has_secret=True),
            "token_revoke": _Kind(bearer.revoke, of_tokens),
        }

    async def answer(self, request: RequestFrame) -> ReplyFrame:
        """Return the answer to a request; an execution is answered as soon as it has been taken on."""
        if request.kind == REFUSED:
            return self._note_refusal(request)
        try:
            kind = self._kinds.get(request.kind)
            if kind is None or kind.has_secret:
                return await self._answer(request)
            return await self._repeats.answer(request, lambda: self._answer(request))
        except DeskRefusal as refusal:  # of the key itself
            return refusal.reply(request.id)

    async def _answer(self, request: RequestFrame) -> ReplyFrame:
        kind = self._kinds.get(request.kind)
        if kind is None:
            return DeskRefusal.argument("kind", request.kind, f"one of {', '.join(self._kinds)}").reply(request.id)
        clearance = Clearance(request.caller, kind.needs, self._rates)
        is_audited = kind.needs.pace is not Pace.PLAN
        try:
            clearance.check(request.kind)
            arguments = RequestArguments(request.kind, request.arguments, admit=clearance.admit)
            status, body = await kind.handler(arguments, request)
        except DeskRefusal as refusal:
            if is_audited:
                self.auditor.refused(request, clearance.shard, refusal.form)
            return refusal.reply(request.id)
        except Exception as error:
            _log.error(f"a request of {request.actor} failed in vtorc itself", request=request.kind, exc_info=error)
            mistake = DeskRefusal(
                500,
                what=request.kind,
                why=f"vtorc itself failed ({type(error).__name__}: {error})",
                do="report this with the traceback in the log",
            )
            if is_audited:
                self.auditor.failed(request, clearance.shard, str(mistake))
            return mistake.reply(request.id)
        clearance.note()
        if is_audited:
            running = body.get("recovery") if isinstance(body, Mapping) else None
            begun = running if isinstance(running, RunningForm) else None
            self.auditor.done(request, clearance.shard, _told(body), begun.id if begun is not None else None)
        return ReplyFrame(id=request.id, status=status, body=msgspec.Raw(msgspec.json.encode(body)))

    def _note_refusal(self, request: RequestFrame) -> ReplyFrame:
        """Tell of what the server refused by itself."""
        told = msgspec.convert(request.arguments, RefusalForm)
        asked = structs.replace(request, kind=told.action, arguments={})
        self.auditor.refused(asked, None, told.problem, unlisted=told.unlisted)
        return ReplyFrame(id=request.id, status=200, body=msgspec.Raw(b"{}"))

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
        refusal = why_not_changed(basis.policy, controlled=self._fleet.is_controlled(shard))
        if basis.policy is None or refusal is not None:
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
        return PlanBasis.of(view_of(self._fleet, shard), self._fleet.policy(shard), self._fleet.decisions(shard))

    # --- executions

    async def _execute(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        name = arguments.text("plan", "the id of a plan")
        reason = arguments.reason()
        accept_loss = arguments.flag("accept_loss", default=False)
        arguments.end()
        plan = self._book.to_execute(name, request.caller)
        arguments.admit(plan.shard)
        self._check_still_holds(plan)
        if plan.outlook.risk or plan.kind == "forced":
            need(
                Role.ADMIN, request.caller, f"execute {plan.id}, a plan that may lose writes or overrules the election"
            )
        if plan.outlook.risk and not accept_loss:
            raise DeskRefusal(
                409,
                what="accept_loss: false",
                why=f"the plan may lose writes: {plan.outlook.risk}",
                do="execute it with accept_loss true if that is to be accepted, or choose another plan",
            )
        check_free(self._fleet, plan.shard)
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
            commands = Commands(tools, watch, heard, switch, plan.basis.view)
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
        begins = record.marks.get(OutageMark.STOPPED.value)
        if OutageMark.DEMOTED.value in record.marks:
            begins = next(step.started for step in record.steps if step.name == "demote primary")
        ends = record.marks.get(OutageMark.ACKNOWLEDGED.value)
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

    async def _read_settings(self, arguments: RequestArguments, request: RequestFrame) -> Answer:
        """Read the settings again from where vtorc has them, as SIGHUP does."""
        reason = arguments.reason()
        arguments.end()
        if self._reload is None:
            raise DeskRefusal(409, what="reload", why="this vtorc has no settings to read again", do="start it anew")
        _log.warning(f"{request.actor} has the settings read again: {reason}", origin=request.origin)
        reloaded = await self._reload()
        if not reloaded.done:
            raise DeskRefusal(
                409, what="reload", why="; ".join(reloaded.sentences), do="mend the settings, and ask again"
            )
        return 200, reloaded


def _overruled(plan: Plan) -> str:
    """Return that a forced plan promotes a tablet against a hold, as a part of a sentence; empty if it does not."""
    to = plan.outlook.to
    why = plan.basis.view.holds.why_not_promoted(to) if plan.kind == "forced" and to is not None else ""
    return f", although it {why}" if why else ""


def _told(body: object) -> str:
    """Return the sentence of what an answer is about, such as a recovery, a hold or a token; without one "done"."""
    parts = body.values() if isinstance(body, Mapping) else (structs.asdict(body).values() if _is_form(body) else ())
    return next((part.sentence for part in (body, *parts) if _is_form(part) and hasattr(part, "sentence")), "done")


def _is_form(value: object) -> TypeGuard[Any]:
    return isinstance(value, Form)
