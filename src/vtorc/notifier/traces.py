"""Exports recoveries as traces: a span for each recovery, and below it one for each of its steps.

OpenTelemetry's SDK and exporter are an extra of the package, so this module is imported only where traces are asked
for. Their environment variables say where spans go, with which headers and certificates, and under which service name
("OpenTelemetry Environment Variable Specification").
"""

import os
from collections.abc import Callable, Sequence

import msgspec
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, Status, StatusCode, set_span_in_context

from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.times import nanoseconds
from vtorc.forms.webhook import EventForm

EXPORTED_WITHIN = 3
"""Seconds that a receiver has to take spans, the last ones after vtorc has ended among them."""

_SECOND = 1_000_000_000

Say = Callable[[str, bool], None]
"""Takes a sentence, and whether it is about something wrong; may be called in any thread."""


class Traces:
    """The traces of one notifier."""

    def __init__(self, say: Say, exporter: SpanExporter | None = None) -> None:
        """Tell `say` when an export fails and when it works again. Without an `exporter` the environment says where to.

        Raises ValueError for a variable of the environment that the SDK refuses.
        """
        name = {} if "OTEL_SERVICE_NAME" in os.environ else {SERVICE_NAME: "vtorc"}
        self._provider = TracerProvider(resource=Resource.create(name), shutdown_on_exit=False)
        told = _ToldExporter(exporter or OTLPSpanExporter(timeout=EXPORTED_WITHIN), say)
        self._provider.add_span_processor(BatchSpanProcessor(told))
        self._tracer = self._provider.get_tracer("vtorc")

    def add(self, body: bytes) -> None:
        """Take the event of a recovery that ended, and return at once; raises msgspec.DecodeError for no event."""
        recovery = msgspec.json.decode(body, type=EventForm).recovery
        if recovery is not None:
            self._add(recovery)

    def close(self) -> None:
        """Export what waits, and return once that is done or has failed."""
        self._provider.shutdown()

    def _add(self, recovery: RecoveryForm) -> None:
        began = nanoseconds(recovery.began)

        def at(seconds: float) -> int:
            return began + round(seconds * _SECOND)

        whole = self._tracer.start_span(recovery.kind, start_time=began, attributes=_attributes(recovery))
        below = set_span_in_context(whole)
        for step in recovery.steps:
            told = {"vtorc.tablet": step.tablet} if step.tablet is not None else {}
            span = self._tracer.start_span(step.name, below, start_time=at(step.started), attributes=told)
            if step.result != "done":
                _fail(span, step.result)
            span.end(at(step.started + step.seconds))
        for name, seconds in recovery.marks.items():
            whole.add_event(name, timestamp=at(seconds))
        if recovery.wants_acknowledgement:
            _fail(whole, recovery.sentence)
        whole.end(at(recovery.seconds))


class _ToldExporter(SpanExporter):
    """Tells of the first failure of another exporter, and of the first success after one."""

    def __init__(self, exporter: SpanExporter, say: Say) -> None:
        self._exporter = exporter
        self._say = say
        self._has_failed = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export(spans)
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self._has_failed:
            self._say("traces are lost, as no receiver takes them; OTEL_EXPORTER_OTLP_ENDPOINT names it", True)
        elif self._has_failed and not failed:
            self._say("the receiver of traces takes them again", False)
        self._has_failed = failed
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


def _attributes(recovery: RecoveryForm) -> dict[str, str]:
    told = {
        "vtorc.recovery": recovery.id,
        "vtorc.shard": recovery.shard,
        "vtorc.outcome": recovery.outcome,
        "vtorc.sentence": recovery.sentence,
        "vtorc.code": recovery.code,
        "vtorc.tablet": recovery.tablet,
        "vtorc.winner": recovery.winner,
        "vtorc.rule": recovery.rule,
        "vtorc.argument": recovery.argument,
        "vtorc.actor": recovery.actor,
        "vtorc.reason": recovery.reason,
    }
    return {name: value for name, value in told.items() if value is not None}


def _fail(span: Span, why: str) -> None:
    span.set_status(Status(StatusCode.ERROR, why))
