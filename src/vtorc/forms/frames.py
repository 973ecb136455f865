"""The frames between vtorc and its HTTP server, which is a process of its own.

vtorc sends what it knows; the server keeps the last of each, and sends requests of operators back. One frame is one
JSON object with its type under `frame`. vtorc never waits for the server: `FrameSink.send` returns at once. A frame
that could not be sent in time is replaced by the next one of the same `key`.
"""

from typing import Literal, Protocol

import msgspec

from vtorc.forms.access import Caller, KnownToken
from vtorc.forms.audit import AuditForm
from vtorc.forms.base import Form
from vtorc.forms.findings import FindingForm
from vtorc.forms.hold import HoldForm
from vtorc.forms.notes import AcknowledgementForm, TagForm
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.settings import SettingForm
from vtorc.forms.shard import ShardForm
from vtorc.forms.webhook_state import WebhookForm

KEPT_RECOVERIES = 500
"""Ended recoveries that the server keeps, and that vtorc keeps for a server that starts anew: the last ones."""

KEPT_DECISIONS = 2000
"""Decisions that both keep."""

KEPT_AUDIT = 1000
"""Audit entries that both keep."""


class Frame(Form, frozen=True, kw_only=True, tag_field="frame", tag=lambda name: name.removesuffix("Frame").lower()):
    """Any frame."""

    @property
    def key(self) -> str | None:
        """Frames of the same key replace each other while they wait to be sent; None for one that must not be lost."""
        return None


class ShardFrame(Frame, frozen=True, kw_only=True):
    """The present state of a shard."""

    shard: ShardForm
    """All of it."""

    @property
    def key(self) -> str | None:
        """One for each shard."""
        return f"shard {self.shard.name}"


class GoneFrame(Frame, frozen=True, kw_only=True):
    """A shard has left the topology server."""

    shard: str
    """Its name."""

    @property
    def key(self) -> str | None:
        """That of its shard, as what was known of it is of no use any more."""
        return f"shard {self.shard}"


class RecoveryFrame(Frame, frozen=True, kw_only=True):
    """A recovery has ended."""

    recovery: RecoveryForm
    """Its record."""


class DecisionFrame(Frame, frozen=True, kw_only=True):
    """A decision is new, or the problem of an earlier one is gone."""

    at: str
    """When."""
    change: Literal["decided", "cleared"]
    """Which of the two."""
    finding: FindingForm
    """The finding with the decision."""


class AuditFrame(Frame, frozen=True, kw_only=True):
    """A request that acts was answered, or refused."""

    entry: AuditForm
    """The request, and what came of it."""


class AnnouncementForm(Form, frozen=True, kw_only=True):
    """News about the whole fleet."""

    rule: str
    """The name of the rule that it comes from."""
    since: str
    """Since when it holds."""
    sentence: str
    """The news in words."""


class StatusFrame(Frame, frozen=True, kw_only=True):
    """The state of this vtorc as a whole."""

    version: str
    """Its version."""
    process: int
    """Its process id."""
    started: str
    """When it started."""
    recoveries_allowed: bool
    """Whether recoveries may begin: `--allow-recovery` allows them, and no operator has stopped them."""
    emergency_reparents_allowed: bool
    """Whether a lost primary may be replaced (`--allow-emergency-reparent`)."""
    clusters_to_watch: list[str]
    """The keyspaces and shards that it acts on; empty for all."""
    topology_failures: list[str]
    """The parts of the topology that could not be read the last time; empty if all was read."""
    shards_watched: int | None = None
    """How many shards this vtorc watches; None until the topology server was read once."""
    shards_known: int | None = None
    """How many shards the topology server has; None until it was read once."""
    shared_among: list[str] = msgspec.field(default_factory=list)
    """The vtorcs that share the shards, this one included (`--share-shards`); empty if each watches all."""
    announcements: list[AnnouncementForm]
    """The news that hold for the whole fleet at the moment: replacements held back, vtorc late."""
    history_file: str
    """The SQLite file of the history; empty if there is none."""

    @property
    def sharing(self) -> str:
        """Which part of the shards this vtorc watches, as a sentence; empty if it watches all."""
        if len(self.shared_among) < 2:
            return ""
        return (
            f"this vtorc watches {self.shards_watched} of {self.shards_known} shards: they are shared among "
            f"{', '.join(self.shared_among)} (--share-shards)"
        )

    @property
    def key(self) -> str | None:
        """The last one counts."""
        return "status"


class HoldsFrame(Frame, frozen=True, kw_only=True):
    """The holds in force, when vtorc starts and after each change of one."""

    holds: list[HoldForm]
    """All of them, by number."""
    outlive_vtorc: bool
    """Whether they are kept over a restart of vtorc."""

    @property
    def key(self) -> str | None:
        """The last ones count."""
        return "holds"


class NotesFrame(Frame, frozen=True, kw_only=True):
    """The notes of operators, when vtorc starts and after each change of one."""

    acknowledgements: list[AcknowledgementForm]
    """The acknowledgements of recoveries, oldest first."""
    tags: list[TagForm]
    """The tags of tablets, by tablet and name."""

    @property
    def key(self) -> str | None:
        """The last ones count."""
        return "notes"


class SettingsFrame(Frame, frozen=True, kw_only=True):
    """The settings, when vtorc starts and after each change of one."""

    settings: list[SettingForm]
    """All of them, ordered by name."""

    @property
    def key(self) -> str | None:
        """The last ones count."""
        return "settings"


class TokensFrame(Frame, frozen=True, kw_only=True):
    """The bearer tokens, when vtorc starts and after each change of one."""

    tokens: list[KnownToken]
    """All of them, by name."""

    @property
    def key(self) -> str | None:
        """The last ones count."""
        return "tokens"


class WebhookFrame(Frame, frozen=True, kw_only=True):
    """How the webhook does, when vtorc starts and after each change."""

    webhook: WebhookForm
    """All of it."""

    @property
    def key(self) -> str | None:
        """The last one counts."""
        return "webhook"


class HeartbeatFrame(Frame, frozen=True, kw_only=True):
    """A sign of life, several times a second."""

    at: str
    """The time of vtorc's clock."""
    late_seconds: float
    """How late its event loop was so far, in all."""

    @property
    def key(self) -> str | None:
        """The last one counts."""
        return "heartbeat"


DURATION_BOUNDS = (0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0)
"""Bounds by which durations are counted, in seconds: those of Vitess (`go/stats/timings.go`)."""


class MetricForm(Form, frozen=True, kw_only=True):
    """One value of one metric."""

    name: str
    """Its name, without a prefix."""
    labels: dict[str, str]
    """Its labels."""
    value: float
    """The value; of durations the sum, in seconds."""
    counts: list[int] | None = None
    """Of durations, how many took at most each of `DURATION_BOUNDS`, and how many there were; None for one value."""


class MetricsFrame(Frame, frozen=True, kw_only=True):
    """The counters of vtorc, once a second."""

    metrics: list[MetricForm]
    """All of them."""

    @property
    def key(self) -> str | None:
        """The last one counts."""
        return "metrics"


class ReplyFrame(Frame, frozen=True, kw_only=True):
    """The answer to a request."""

    id: int
    """The number of the request."""
    status: int
    """The HTTP status that fits it: 200 for done, 202 for begun, and that of the `ProblemForm` for the rest."""
    body: msgspec.Raw
    """The answer, as JSON: the result, or a `ProblemForm`."""


AnyFrame = (
    ShardFrame
    | GoneFrame
    | RecoveryFrame
    | DecisionFrame
    | AuditFrame
    | StatusFrame
    | HoldsFrame
    | NotesFrame
    | SettingsFrame
    | TokensFrame
    | WebhookFrame
    | HeartbeatFrame
    | MetricsFrame
    | ReplyFrame
)
"""The frames that vtorc sends to its server."""


class RequestFrame(Form, frozen=True, kw_only=True):
    """A request of an operator, from the server to vtorc."""

    id: int
    """The server's number for it, which the reply carries."""
    kind: str
    """The kind of request: "plan", "execute", "cancel" and the like."""
    arguments: dict[str, object]
    """The arguments, by the names of `/api/v1`."""
    caller: Caller
    """The client, and what it may do."""
    key: str = ""
    """The client's key for this request (Idempotency-Key): the same one is carried out once; empty for none."""

    @property
    def actor(self) -> str:
        """The operator, as the server knows it."""
        return self.caller.actor

    @property
    def origin(self) -> str:
        """Where the request came from: an address, or a socket."""
        return self.caller.origin


REFUSED = "refused"
"""The kind of a request that asks for nothing: it tells that the server itself has refused one of a client.

Its arguments are those of `RefusalForm`.
"""


class RefusalForm(Form, frozen=True, kw_only=True):
    """A request that the server refused."""

    action: str
    """The client's request."""
    problem: "ProblemForm"
    """The answer that it got."""
    unlisted: int = 0
    """How many other refusals came too fast to be told one by one since the last one that was told."""


ALIVE = "alive"
"""The kind of the request that asks for nothing: the server sends it after each heartbeat, and gets no reply."""


class ProblemForm(Form, frozen=True, kw_only=True):
    """A refusal or an error, as RFC 9457 problem details with what an operator needs."""

    title: str
    """The kind of problem."""
    status: int
    """The HTTP status."""
    what: str
    """The error or the refusal, in words."""
    why: str
    """The reason."""
    do: str
    """The way to mend it."""


class FrameSink(Protocol):
    """Takes frames; never waits and raises nothing."""

    def send(self, frame: AnyFrame) -> None:
        """Send a frame, or keep it until it can be sent."""
        ...


_encoder = msgspec.json.Encoder()
_frames = msgspec.json.Decoder(AnyFrame)
_requests = msgspec.json.Decoder(RequestFrame)


def encode(frame: AnyFrame | RequestFrame) -> bytes:
    """Return the bytes of a frame."""
    return _encoder.encode(frame)


def decode_frame(data: bytes) -> AnyFrame:
    """Return a frame of vtorc; raises msgspec.ValidationError or DecodeError if it is none."""
    return _frames.decode(data)


def decode_request(data: bytes) -> RequestFrame:
    """Return a request of the server; raises msgspec.ValidationError or DecodeError if it is none."""
    return _requests.decode(data)
