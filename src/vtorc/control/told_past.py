"""The past as the HTTP server was told it, kept for one that starts anew."""

from collections import deque

from msgspec import structs

from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import (
    KEPT_AUDIT,
    KEPT_DECISIONS,
    KEPT_RECOVERIES,
    AnyFrame,
    AuditFrame,
    DecisionFrame,
    FrameSink,
    RecoveryFrame,
)
from vtorc.forms.recovery import HookRunForm


class ToldPast:
    """Sends ended recoveries, decisions and audit entries, and keeps the last of each."""

    def __init__(self, sink: FrameSink) -> None:
        self._sink = sink
        self._recoveries: deque[RecoveryFrame] = deque(maxlen=KEPT_RECOVERIES)
        self._decisions: deque[DecisionFrame] = deque(maxlen=KEPT_DECISIONS)
        self._audit: deque[AuditFrame] = deque(maxlen=KEPT_AUDIT)

    def snapshot(self) -> list[AnyFrame]:
        """Return all that is kept at this moment: recoveries, decisions and audit entries, each oldest first."""
        return [*self._recoveries, *self._decisions, *self._audit]

    def ended(self, frame: RecoveryFrame) -> None:
        """Send a recovery that has ended."""
        self._recoveries.append(frame)
        self._sink.send(frame)

    def decided(self, frame: DecisionFrame) -> None:
        """Send a decision."""
        self._decisions.append(frame)
        self._sink.send(frame)

    def audited(self, entry: AuditForm) -> None:
        """Send what an operator asked for."""
        frame = AuditFrame(entry=entry)
        self._audit.append(frame)
        self._sink.send(frame)

    def hook_ran(self, recovery: int, shard: str, run: HookRunForm) -> None:
        """Send a recovery again, with the command that has ended."""
        for place in reversed(range(len(self._recoveries))):
            known = self._recoveries[place].recovery
            if known.id == str(recovery) and known.shard == shard:
                again = structs.replace(known, hooks=[*known.hooks, run])
                self._recoveries[place] = frame = RecoveryFrame(recovery=again)
                self._sink.send(frame)
                return
