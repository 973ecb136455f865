"""The stream of events over breaks of the connection: watching, and following one recovery to its end."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

import msgspec

from vtorc.cli.client.api import ApiClient, segment, shard_path
from vtorc.cli.client.errors import AnswerNotUnderstood, RecoveryLost, RequestRefused, ServerUnreachable
from vtorc.cli.client.events import ServerEvent
from vtorc.cli.client.live import NewSteps
from vtorc.forms.fleet import AnyEvent, decode_event
from vtorc.forms.frames import HeartbeatFrame, RecoveryFrame, ShardFrame
from vtorc.forms.recovery import RecoveryForm, RunningForm
from vtorc.forms.shard import ShardForm

RETRY = 1.0
"""Seconds between two attempts to get the stream back."""

MOST_RETRIES = 30
"""Attempts after which a recovery is followed no more; vtorc starts its server anew within seconds."""

MOST_HEARTBEATS = 10
"""Heartbeats without the recovery, in progress or ended, after which it is lost: vtorc itself was started anew."""

KINDS = frozenset({"status", "shard", "gone", "recovery", "decision", "hold", "heartbeat"})
"""The events that are frames."""

RESET = "reset"
"""The event that says that others were missed, so that all is to be asked for anew."""

Tell = Callable[[Sequence[str]], None]


def read_event(event: ServerEvent) -> AnyEvent | None:
    """Return the data of an event; None for a kind that is of no use here. Raises AnswerNotUnderstood."""
    if event.name not in KINDS:
        return None
    try:
        return decode_event(event.data)
    except msgspec.MsgspecError as error:
        raise AnswerNotUnderstood(
            f"an event {event.name!r} has another form than this version knows ({error}); "
            "use the vtorc ctl of the version that runs there"
        ) from error


def lasting_events(
    client: ApiClient,
    shard: str | None,
    lost: Callable[[str], None],
    *,
    most_retries: int | None = None,
    retry: float = RETRY,
) -> Iterator[ServerEvent | None]:
    """Yield events over breaks of the connection, and None after each break.

    After a break the stream goes on from the last event, or begins with a `RESET`. `lost` is called with the sentence
    of a break. Attempts are counted anew with each event. Raises ServerUnreachable where the first attempt fails, or
    `most_retries` in a row, and RequestRefused.
    """
    failures, last_id = 0, None
    while True:
        try:
            for event in client.events({"shard": shard, "since": last_id or None}):
                failures, last_id = 0, event.id
                yield event
        except ServerUnreachable as error:
            if last_id is None or failures == most_retries:
                raise
            reason = str(error)
        except RequestRefused as error:
            if last_id is None or failures == most_retries or error.problem.status != 503:
                raise
            reason = str(error)
        if not failures:
            lost(reason)
        failures += 1
        time.sleep(retry)
        yield None


class Follower:
    """Follows the recovery that an operator has begun."""

    def __init__(self, client: ApiClient, begun: RunningForm, tell: Tell, width: int, *, retry: float = RETRY) -> None:
        """Follow a recovery that has begun; `tell` gets the lines of its steps."""
        self._client = client
        self._id = begun.id
        self._shard = begun.shard
        self._tell = tell
        self._width = width
        self._retry = retry
        self._steps = NewSteps()
        self._is_running = False
        self._quiet = 0

    def run(self) -> RecoveryForm:
        """Return the record of the recovery once it has ended.

        Raises RecoveryLost if it is neither in progress nor recorded, and ServerUnreachable if vtorc stays away.
        """
        must_look = True
        events = lasting_events(
            self._client, self._shard, self._told_of_break, most_retries=MOST_RETRIES, retry=self._retry
        )
        for event in events:
            if event is None:
                must_look = True
                continue
            ended = None
            if must_look:  # the first event proves that the stream has begun: what ended before can only be asked for
                with suppress(ServerUnreachable, RequestRefused):  # it is asked for again with the next event
                    ended = self._look()
                    must_look = False
            ended = ended or self._take(read_event(event))
            if ended is not None:
                self._tell(self._steps.lines(ended.steps, self._width))
                return ended
            if self._quiet >= MOST_HEARTBEATS:
                return self._last_look()
        raise RecoveryLost(self._lost_sentence())

    def _look(self) -> RecoveryForm | None:
        ended = self._ended()
        if ended is None:
            shard = self._client.get(shard_path(self._shard)).read(ShardForm)
            self._take_running(shard.running)
        return ended

    def _last_look(self) -> RecoveryForm:
        ended = self._ended()
        if ended is None:
            raise RecoveryLost(self._lost_sentence())
        return ended

    def _ended(self) -> RecoveryForm | None:
        """Return the record of the recovery; None if there is none yet."""
        try:
            return self._client.get(f"recoveries/{segment(self._id)}").read(RecoveryForm)
        except RequestRefused as refused:
            if refused.problem.status == 404:
                return None
            raise

    def _take(self, frame: AnyEvent | None) -> RecoveryForm | None:
        match frame:
            case RecoveryFrame(recovery=recovery):
                return recovery if recovery.id == self._id else None
            case ShardFrame(shard=shard):
                if shard.name == self._shard:
                    self._take_running(shard.running)
            case HeartbeatFrame():
                self._quiet = 0 if self._is_running else self._quiet + 1
        return None

    def _take_running(self, running: RunningForm | None) -> None:
        self._is_running = running is not None and running.id == self._id
        if running is not None and self._is_running:
            self._tell(self._steps.lines(running.steps, self._width))

    def _told_of_break(self, reason: str) -> None:
        self._tell([f"  {reason}; the recovery goes on, and is followed again as soon as vtorc answers"])

    def _lost_sentence(self) -> str:
        return (
            f"the recovery of {self._shard} is neither in progress nor recorded: vtorc was started anew meanwhile; "
            f"see 'vtorc ctl why {self._shard}'"
        )
