"""Asks the operator's commands before a recovery does what cannot be undone, as Vitess v12 does."""

from collections.abc import Mapping

from vtorc.core.detection.problems import Code
from vtorc.core.detection.recoveries import Recovery
from vtorc.core.facts.rules import Rule
from vtorc.core.facts.views import ShardView, TabletView
from vtorc.recovery.errors import RecoveryRefused
from vtorc.recovery.hooks import Hook, HookOccasion, HookResult
from vtorc.recovery.record import BegunRecovery, StepRecord
from vtorc.recovery.session import RecoverySession

COMMAND_HINTS: Mapping[Recovery, str] = {
    Recovery.PLANNED_REPARENT: "graceful-primary-takeover",
    Recovery.EMERGENCY_REPARENT: "force-primary-failover",
}
"""v12's name of what an operator asked for; recoveries of vtorc's own have none."""


async def run_pre_hooks(session: RecoverySession, hook: Hook, occasion: HookOccasion) -> bool:
    """Run the commands of a hook one after the other, each as a step; returns whether there was one.

    Raises RecoveryRefused at the first that fails, as v12 gives the recovery up there. The shard may have changed
    meanwhile: what was judged before is to be judged again.
    """
    hooks = session.tools.hooks
    count = hooks.count(hook)
    for number in range(1, count + 1):
        started, name = session.elapsed(), f"{hook.value} {number} of {count}"
        ended = HookResult(result="cancelled", output="", seconds=0.0)
        try:
            ended = await hooks.run(hook, number, occasion)
        finally:
            duration = session.elapsed() - started
            session.note_step(
                StepRecord(
                    name=name, target=None, started=started, duration=duration, result=ended.result, output=ended.output
                )
            )
        if not ended.is_done:
            raise RecoveryRefused(
                f"not going on, because command {number} of {hook.value} {ended.result}; "
                f"it decides whether vtorc may, so mend it, or take it out of the settings and restart vtorc",
                rule=Rule.PRE_HOOK,
            )
    return count > 0


def occasion_of(
    begun: BegunRecovery, view: ShardView, *, named: bool = False, successor: TabletView | None = None
) -> HookOccasion:
    """Return what hooks are told of a recovery of the shard that `view` shows.

    `named` says that an operator forced a promotion; `successor` is the new primary, None without one.
    """
    hint = COMMAND_HINTS.get(begun.recovery, "")
    failed = view.primary.record if view.primary is not None else None
    if failed is None and (tablet := view.tablet(begun.alias)) is not None and begun.code is not None:
        failed = tablet.record
    return HookOccasion(
        shard=begun.shard,
        code=begun.code.value if begun.code is not None else Code.DEAD_PRIMARY.value,
        description=begun.sentence,
        recovery=begun.began,
        command="force-primary-takeover" if named and hint else hint,
        failed=failed,
        replicas=tuple(t.record for t in view.tablets if t.record is not failed),
        successor=successor.record if successor is not None else None,
    )
