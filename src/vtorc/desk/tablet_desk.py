"""Answers requests about single tablets: commands on replicas, and questions that are asked now."""

from vtorc.control.facade import FleetFacade
from vtorc.control.operator_command import OperatorCommand
from vtorc.core.decision.operator_guards import why_refused
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.durability import DurabilityPolicy
from vtorc.core.facts.holds import LONGEST
from vtorc.core.facts.ids import ShardId, TabletAlias, alias_list
from vtorc.core.facts.views import ShardView
from vtorc.desk.arguments import RequestArguments
from vtorc.desk.problems import DeskRefusal
from vtorc.desk.shards import check_free, view_of, why_not_changed
from vtorc.desk.stopped_replication import STOPPED_FOR, TabletOrder
from vtorc.discovery.watch import ShardWatch
from vtorc.forms.frames import RequestFrame
from vtorc.forms.recovery import running_form
from vtorc.recovery.record import BegunRecovery, OperatorRequest
from vtorc.recovery.session import RecoveryTools
from vtorc.recovery.tablet_change import COMMANDS

_BY_NAME = {command.value: command for command in COMMANDS}


class TabletDesk:
    """The part of the desk for requests about tablets."""

    def __init__(self, fleet: FleetFacade) -> None:
        self._fleet = fleet

    async def command(self, arguments: RequestArguments, request: RequestFrame) -> tuple[int, object]:
        """Have a command carried out on tablets of one shard; it is answered as soon as it has been taken on."""
        shard = arguments.shard()
        command = _BY_NAME[arguments.choice("command", tuple(_BY_NAME))]
        aliases = arguments.aliases("tablets")
        reason = arguments.reason()
        seconds = arguments.number_or_none("seconds", 1, LONGEST)
        arguments.end()
        policy = self._check(shard, command, aliases)
        check_free(self._fleet, shard)
        asked = OperatorRequest(actor=request.actor, origin=request.origin, reason=reason)
        begun = BegunRecovery(
            shard=shard,
            recovery=command,
            code=None,
            alias=aliases[0] if len(aliases) == 1 else None,
            began=self._fleet.tools.clock.wall(),
            sentence=f"{shard}: {request.actor} asked for {command.value} of {alias_list(aliases)}: {reason}",
            asked=asked,
        )
        order = TabletOrder(begun=begun, asked=asked, policy=policy, aliases=aliases, seconds=seconds or STOPPED_FOR)
        self._fleet.carry_out(OperatorCommand(begun, order.work(self._fleet.holds)))
        return 202, {"recovery": running_form(begun, ())}

    async def probe(self, arguments: RequestArguments, _: RequestFrame) -> tuple[int, object]:
        """Ask tablets of one shard now; the answer tells which of them answered in time."""
        shard = arguments.shard()
        aliases = arguments.aliases("tablets")
        arguments.end()
        self._check_known(view_of(self._fleet, shard), aliases)
        asking = self._fleet.on_shard(shard, lambda tools, watch: _ask(tools, watch, aliases))
        if asking is not None:
            await asking
        view = view_of(self._fleet, shard)
        return 200, {"answered": [str(t.alias) for t in view.tablets if t.alias in aliases and t.is_current]}

    def _check(self, shard: ShardId, command: Recovery, aliases: tuple[TabletAlias, ...]) -> DurabilityPolicy:
        """Return the shard's durability policy; raises DeskRefusal if the command would be refused as things are."""
        view = view_of(self._fleet, shard)
        policy = self._fleet.policy(shard)
        why = why_not_changed(policy, controlled=self._fleet.is_controlled(shard))
        if policy is None or why is not None:
            raise _refused(str(shard), why or "")
        self._check_known(view, aliases)
        for tablet in view.tablets:
            if tablet.alias not in aliases:
                continue
            if found := why_refused(command, view, policy, tablet, self._fleet.tools.clock.now()):
                raise _refused(f"{command.value} of {tablet.alias}", found[1])
        return policy

    @staticmethod
    def _check_known(view: ShardView, aliases: tuple[TabletAlias, ...]) -> None:
        for alias in aliases:
            if view.tablet(alias) is None:
                known = alias_list(tablet.alias for tablet in view.tablets)
                raise DeskRefusal.argument("tablets", str(alias), f"tablets of {view.shard}: {known}")


def _refused(what: str, why: str) -> DeskRefusal:
    return DeskRefusal(409, what=what, why=why, do="mend what is told there, and ask again")


async def _ask(tools: RecoveryTools, watch: ShardWatch, aliases: tuple[TabletAlias, ...]) -> None:
    others = [tablet.alias for tablet in watch.view().tablets if tablet.alias not in aliases]
    await watch.refresh(tools.deadlines.refresh, leave_out=others)
