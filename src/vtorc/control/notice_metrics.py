"""Counts the operator's commands, and is a source of metrics of them and of the webhook."""

from collections.abc import Callable, Iterator

from vtorc.control.metric_values import LabelledCounter
from vtorc.forms.frames import MetricForm
from vtorc.forms.recovery import HookRunForm
from vtorc.forms.webhook_state import WebhookForm


class NoticeMetrics:
    """Metrics of the notices that vtorc sends to others."""

    def __init__(self, webhook: Callable[[], WebhookForm | None]) -> None:
        """Ask `webhook` for its state each time; None where there is none."""
        self._webhook = webhook
        self._runs = LabelledCounter("HookRuns", ["Hook", "Result"])

    def ran(self, run: HookRunForm) -> None:
        """Count a command that has ended."""
        self._runs.count(run.hook, "success" if run.result == "done" else "failure")

    def metrics(self) -> Iterator[MetricForm]:
        """Yield the values of this moment."""
        yield from self._runs.metrics()
        if (state := self._webhook()) is not None:
            yield MetricForm(name="WebhookWaiting", labels={}, value=state.waiting)
            yield MetricForm(name="WebhookDelivered", labels={}, value=state.delivered)
            yield MetricForm(name="WebhookFailedTries", labels={}, value=state.failed_tries)
            yield MetricForm(name="WebhookDeadLetters", labels={}, value=state.dead)
            yield MetricForm(name="WebhookDropped", labels={}, value=state.dropped)
