"""All that the server process knows: the last frame of each kind that vtorc sent."""

from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from vtorc.forms.access import KnownToken
from vtorc.forms.audit import AuditForm
from vtorc.forms.fleet import shard_row
from vtorc.forms.frames import (
    KEPT_AUDIT,
    KEPT_DECISIONS,
    KEPT_RECOVERIES,
    AnyFrame,
    AuditFrame,
    DecisionFrame,
    GoneFrame,
    HeartbeatFrame,
    HoldsFrame,
    MetricsFrame,
    NotesFrame,
    RecoveryFrame,
    ReplyFrame,
    SettingsFrame,
    ShardFrame,
    StatusFrame,
    TokensFrame,
    WebhookFrame,
)
from vtorc.forms.notes import AcknowledgementForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.settings import SettingForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.webhook_state import WebhookForm

NO_EVENTS = (HeartbeatFrame, MetricsFrame, ReplyFrame, SettingsFrame, TokensFrame, WebhookFrame)
"""The frames that listeners of events are not told of."""

_encoder = msgspec.json.Encoder()

Listener = Callable[[AnyFrame], None]
"""Called with each frame after the memory has taken it; returns at once and raises nothing."""


class ServerMemory:
    """The server's copy of what vtorc knows, as it was told last."""

    def __init__(self, *, revision: int = 0) -> None:
        """Begin with nothing; `revision` is to be higher than that of any server before, so that none is mistaken."""
        self.shards: dict[str, ShardForm] = {}
        """The shards by name (`keyspace/shard`), in order of name."""
        self._rows: dict[str, msgspec.Raw] = {}
        """The rows of shards in the list of all, as JSON; those that were asked for since they changed."""
        self.recoveries: dict[str, RecoveryForm] = {}
        """The recoveries that ended, by id, oldest first."""
        self.decisions: deque[DecisionFrame] = deque(maxlen=KEPT_DECISIONS)
        """Decisions and their ends, oldest first."""
        self.audit: deque[AuditForm] = deque(maxlen=KEPT_AUDIT)
        """Requests of operators, oldest first."""
        self.status: StatusFrame | None = None
        """The state of vtorc as a whole; None until it was told."""
        self.holds: HoldsFrame | None = None
        """The holds in force; None until they were told."""
        self.notes: NotesFrame | None = None
        """The tags and acknowledgements; None until they were told."""
        self._acknowledgements: dict[str, AcknowledgementForm] = {}
        self.settings: dict[str, SettingForm] = {}
        """The settings by name; empty until they were told."""
        self.tokens: tuple[KnownToken, ...] = ()
        """The bearer tokens by name."""
        self.webhook = WebhookForm(url=None, dropped=0, sentence="there is no webhook: --webhook-url names one")
        """How the webhook does."""
        self.metrics: MetricsFrame | None = None
        """The counters; None until they were told."""
        self.heartbeat: HeartbeatFrame | None = None
        """The last sign of life; None if none came."""
        self.heard_at: float | None = None
        """When the last frame came, in seconds on the caller's monotonic clock; None if none came."""
        self.revision = revision
        """Grows with each frame that changes something."""
        self.dropped_listeners = 0
        """How many clients this process dropped that listened to events and took nothing."""
        self._listeners: list[Listener] = []

    @property
    def is_complete(self) -> bool:
        """Whether vtorc has told all that it knows once: metrics are the last of it."""
        return self.status is not None and self.metrics is not None

    def take(self, frame: AnyFrame, now: float) -> None:
        """Take a frame that came at `now`, and pass it on to the listeners."""
        self.heard_at = now
        if not isinstance(frame, NO_EVENTS):
            self.revision += 1
        match frame:
            case ShardFrame(shard=shard):
                self._rows.pop(shard.name, None)
                is_in_place = shard.name in self.shards or shard.name > next(reversed(self.shards), "")
                self.shards[shard.name] = shard
                if not is_in_place:
                    self.shards = dict(sorted(self.shards.items()))
            case GoneFrame(shard=name):
                self._rows.pop(name, None)
                self.shards.pop(name, None)
            case RecoveryFrame(recovery=recovery):
                self.recoveries[recovery.id] = self.with_acknowledgement(recovery)
                while len(self.recoveries) > KEPT_RECOVERIES:
                    del self.recoveries[next(iter(self.recoveries))]
            case DecisionFrame():
                self.decisions.append(frame)
            case AuditFrame(entry=entry):
                self.audit.append(entry)
            case StatusFrame():
                self.status = frame
            case HoldsFrame():
                self.holds = frame
            case NotesFrame(acknowledgements=acknowledgements):
                self.notes = frame
                self._acknowledgements = {each.recovery: each for each in acknowledgements}
                for name, recovery in self.recoveries.items():
                    self.recoveries[name] = self.with_acknowledgement(recovery)
            case SettingsFrame(settings=settings):
                self.settings = {setting.name: setting for setting in settings}
            case TokensFrame(tokens=tokens):
                self.tokens = tuple(tokens)
            case WebhookFrame(webhook=webhook):
                self.webhook = webhook
            case MetricsFrame():
                self.metrics = frame
            case HeartbeatFrame():
                self.heartbeat = frame
            case ReplyFrame():
                pass
        for listener in list(self._listeners):
            listener(frame)

    def frames(self) -> Iterator[AnyFrame]:
        """Yield frames that tell another memory all that this one knows, but for the settings and the tokens."""
        yield from (ShardFrame(shard=shard) for shard in self.shards.values())
        if self.status is not None:
            yield self.status
        yield from (RecoveryFrame(recovery=recovery) for recovery in self.recoveries.values())
        yield from self.decisions
        yield from (AuditFrame(entry=entry) for entry in self.audit)
        yield from (frame for frame in (self.holds, self.notes, self.heartbeat, self.metrics) if frame is not None)

    def row(self, name: str) -> msgspec.Raw:
        """Return the row of a shard as JSON (`ShardRowForm`), made once for each change; raises KeyError."""
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = msgspec.Raw(_encoder.encode(shard_row(self.shards[name])))
        return row

    def with_acknowledgement(self, recovery: RecoveryForm) -> RecoveryForm:
        """Return a recovery with its acknowledgement, which the history does not have."""
        found = self._acknowledgements.get(recovery.id)
        if found == recovery.acknowledgement:
            return recovery
        return msgspec.structs.replace(recovery, acknowledgement=found)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with each further frame; returns the function that ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)
