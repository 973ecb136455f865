"""All that vtorc tells others, put together from the settings: the webhook, the operator's hooks, and their process."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from vtorc.config.settings import Settings
from vtorc.control.hook_observer import HookObserver
from vtorc.control.notice_metrics import NoticeMetrics
from vtorc.control.webhook_observer import WebhookObserver
from vtorc.core.facts.clock import Clock
from vtorc.errors import SettingsError
from vtorc.files import contents_of
from vtorc.forms.recovery import HookRunForm
from vtorc.forms.webhook_state import WebhookForm
from vtorc.notifier.helper import NotifierHelper
from vtorc.notifier.hooks import HookLimits, HookNews, OperatorHooks
from vtorc.notifier.lines import EventLine, StartLine, WebhookOptions
from vtorc.notifier.post import Receiver
from vtorc.recovery.hooks import Hook, NoHooks, PreHooks


class NoticeObserver(Protocol):
    """Hears what came of telling others; its methods return at once and raise nothing."""

    def hook_ran(self, recovery: int, shard: str, run: HookRunForm) -> None:
        """Called when a command has ended that no recovery waits for; `recovery` is when its recovery began, or 0."""
        ...

    def webhook_changed(self, state: WebhookForm) -> None:
        """Called when there is news of the webhook."""
        ...


class Notifying:
    """All that tells others; a process exists only if the settings have a webhook, traces or commands."""

    def __init__(self, settings: Callable[[], Settings], clock: Clock, *, outbox: str) -> None:
        """Tell what the settings say; `outbox` is the file of undelivered events, empty for memory.

        Raises SettingsError for a file that cannot be used.
        """
        first = settings()
        webhook = webhook_options(first, outbox=outbox)
        commands = hook_commands(first)
        self._url = _shown(first.webhook_url)
        self._listeners: list[NoticeObserver] = []
        self._clock = clock
        self._helper = NotifierHelper(
            StartLine(webhook=webhook, traces=first.tracer != "noop", shell=first.processes_shell_command),
            self._tell_webhook,
        )
        self._hooks = OperatorHooks(
            commands,
            self._helper.run_command,
            lambda: HookLimits(pre=settings().pre_hook_timeout, other=settings().hook_timeout),
            clock,
            self._tell_hook,
        )
        self._has_hooks = any(commands.values())
        self._has_webhook = webhook is not None
        self.metrics = NoticeMetrics(lambda: self.webhook if self._has_webhook else None)
        """The metrics of what was told."""
        self.webhook_observers = (
            [WebhookObserver(self._send, first.webhook_events, clock)] if webhook is not None else []
        )
        """The observers of the fleet, and of operators' requests, that make events."""
        self._trace_observers = (
            [WebhookObserver(self._send_trace, ("recovery",), clock)] if first.tracer != "noop" else []
        )
        self.hook_observers = [HookObserver(self._hooks.start)] if self._has_hooks else []
        """The observers of the fleet and its topology that run hooks."""

    @property
    def observers(self) -> list[WebhookObserver | HookObserver]:
        """Those that have to hear of the fleet."""
        return [*self.webhook_observers, *self._trace_observers, *self.hook_observers]

    @property
    def pre_hooks(self) -> PreHooks:
        """The hooks that recoveries wait for."""
        return self._hooks if self._has_hooks else NoHooks()

    @property
    def webhook(self) -> WebhookForm:
        """How the webhook does."""
        state = self._helper.state
        return WebhookForm(
            url=self._url, dropped=self._helper.dropped, sentence=self._sentence(), **msgspec.structs.asdict(state)
        )

    def listen(self, listeners: Sequence[NoticeObserver]) -> None:
        """Tell these, too, of what came of it."""
        self._listeners += listeners
        self._tell_webhook()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep the process running until the end of the context, after which it ends by itself."""
        if not (self._has_hooks or self._has_webhook or self._trace_observers):
            yield
            return
        running = asyncio.create_task(self._helper.keep_running(), name="notifier")
        try:
            yield
        finally:
            await self._hooks.close()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _send(self, id_: str, kind: str, at: int, body: msgspec.Raw) -> None:
        self._helper.send_event(EventLine(id=id_, kind=kind, at=at, body=body))

    def _send_trace(self, id_: str, kind: str, at: int, body: msgspec.Raw) -> None:
        self._helper.send_event(EventLine(to="traces", id=f"trace-{id_}", kind=kind, at=at, body=body))

    def _tell_hook(self, news: HookNews) -> None:
        self.metrics.ran(news.run)
        for listener in self._listeners:
            listener.hook_ran(news.recovery, str(news.shard), news.run)

    def _tell_webhook(self) -> None:
        for listener in self._listeners:
            listener.webhook_changed(self.webhook)

    def _sentence(self) -> str:
        state = self._helper.state
        if self._url is None:
            return "there is no webhook: --webhook-url names one"
        if state.last_error:
            return f"{state.waiting} events wait, {state.dead} were given up; the last try failed: {state.last_error}"
        return f"{state.delivered} events were delivered, {state.waiting} wait, {state.dead} were given up"


def hook_commands(settings: Settings) -> Mapping[Hook, Sequence[str]]:
    """Return the operator's commands by hook."""
    return {
        Hook.ON_DETECTION: settings.on_failure_detection_processes,
        Hook.PRE_GRACEFUL_TAKEOVER: settings.pre_graceful_takeover_processes,
        Hook.PRE_FAILOVER: settings.pre_failover_processes,
        Hook.POST_PRIMARY_FAILOVER: settings.post_primary_failover_processes,
        Hook.POST_FAILOVER: settings.post_failover_processes,
        Hook.POST_UNSUCCESSFUL_FAILOVER: settings.post_unsuccessful_failover_processes,
        Hook.POST_GRACEFUL_TAKEOVER: settings.post_graceful_takeover_processes,
    }


def webhook_options(settings: Settings, *, outbox: str = "") -> WebhookOptions | None:
    """Return where events go; None without a webhook. Raises SettingsError for a file that cannot be used."""
    if not settings.webhook_url:
        return None
    try:
        Receiver.of(settings.webhook_url, ca=settings.webhook_ca)
    except OSError as error:
        raise SettingsError(
            [
                f"--webhook-ca: expected a PEM file with the receiver's authorities, got '{settings.webhook_ca}' "
                f"({error.strerror or error})"
            ]
        ) from error
    return WebhookOptions(
        url=settings.webhook_url,
        secret=settings.webhook_secret or _secret_in(settings.webhook_secret_file),
        ca=settings.webhook_ca,
        retry_for=settings.webhook_retry_for,
        outbox=outbox,
    )


def _secret_in(file: str) -> str:
    """Return the key in a file; raises SettingsError if it cannot be read, or has none."""
    if not file:
        return ""
    try:
        secret = contents_of(file).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise SettingsError(
            [f"--webhook-secret-file: expected a file with the key, got '{file}' ({reason})"]
        ) from error
    if not secret:
        raise SettingsError([f"--webhook-secret-file: expected a file with the key, got '{file}', which is empty"])
    return secret


def _shown(url: str) -> str | None:
    """Return an address without its query, which may have a token in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}" if url else None
