"""Delivers events to the receiver of the webhook: at least once each, the oldest first, with pauses after failures."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from vtorc.forms.times import rfc3339
from vtorc.forms.webhook_state import DeadLetterForm, WebhookStateForm
from vtorc.notifier.outbox import EventOutbox, Letter
from vtorc.notifier.post import NotDelivered, Receiver, post

FIRST_PAUSE = 1.0
"""Seconds after a failure before the next try; doubled each time, up to `LONGEST_PAUSE`."""

LONGEST_PAUSE = 300.0
"""Seconds that a pause grows to."""

SHOWN_DEAD = 100
"""Dead letters that are told of."""

_SECOND = 1_000_000_000


class Webhook:
    """The deliveries to one receiver."""

    def __init__(
        self,
        outbox: EventOutbox,
        receiver: Receiver,
        retry_for: float,
        tell: Callable[[WebhookStateForm], None],
        say: Callable[[str, bool], None],
    ) -> None:
        """Give an event up `retry_for` seconds after it happened; tell `tell` of the state, and `say` of what matters.

        `say` gets a sentence, and whether it is about something wrong.
        """
        self._outbox = outbox
        self._receiver = receiver
        self._retry_for = retry_for
        self._tell = tell
        self._say = say
        self._more = asyncio.Event()
        self._delivered = 0
        self._failed = 0
        self._in_a_row = 0
        self._last_error = ""
        self._has_buried = False

    def add(self, id_: str, kind: str, at: int, body: bytes) -> None:
        """Take an event, and keep it until it is delivered or given up."""
        self._outbox.add(id_, kind, at, body)
        self._more.set()

    @property
    def is_behind(self) -> bool:
        """Whether events wait that are due by now, and the receiver took the last one."""
        letter = self._outbox.next()
        return letter is not None and not self._last_error and letter.due <= time.time_ns()

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._tell_state()
        while True:
            self._more.clear()
            wait = await self.deliver_next()
            if wait is None or wait > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._more.wait()

    async def deliver_next(self) -> float | None:
        """Try the event that is due; returns the seconds until the next one is, None if none waits."""
        letter = self._outbox.next()
        if letter is None:
            return None
        now = time.time_ns()
        if letter.due > now:
            return (letter.due - now) / _SECOND
        try:
            request = self._receiver.request(letter.id, letter.kind, letter.body, now // _SECOND)
            await post(self._receiver, request)
        except NotDelivered as error:
            pause = self._note_failure(letter, error)
            self._tell_state()
            if error.is_about_event:
                return 0.0
            await asyncio.sleep(pause)
            return 0.0
        self._outbox.remove(letter)
        self._delivered += 1
        self._in_a_row = 0
        self._last_error = ""
        if self._has_buried:
            self._has_buried = False
            self._say(f"the webhook's receiver {self._receiver.authority} takes events again", False)
        self._tell_state()
        return 0.0

    def _note_failure(self, letter: Letter, error: NotDelivered) -> float:
        """Postpone an event, or give it up if it is too old; returns the seconds until the receiver is asked again."""
        self._failed += 1
        self._last_error = str(error)
        if not error.is_about_event:
            self._in_a_row += 1
        now, tries = time.time_ns(), letter.tries + 1
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(20, max(self._in_a_row, tries) - 1))
        if now + pause * _SECOND < letter.at + self._retry_for * _SECOND:
            self._outbox.postpone(letter, tries, now + int(pause * _SECOND), str(error))
            return pause
        self._outbox.bury(letter, tries, str(error))
        if not self._has_buried:
            self._has_buried = True
            self._say(
                f"the webhook's event {letter.id} was given up after {tries} tries: {error}; further ones are told at "
                f"/api/v1/webhook only, until one is delivered",
                True,
            )
        return min(pause, FIRST_PAUSE)

    def _tell_state(self) -> None:
        self._tell(
            WebhookStateForm(
                waiting=self._outbox.waiting,
                delivered=self._delivered,
                failed_tries=self._failed,
                dead=self._outbox.count_dead(),
                last_error=self._last_error,
                dead_letters=[
                    DeadLetterForm(id=each.id, kind=each.kind, at=rfc3339(each.at), tries=each.tries, why=each.why)
                    for each in self._outbox.dead(SHOWN_DEAD)
                ],
            )
        )
