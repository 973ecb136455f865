"""Recoveries as OpenTelemetry traces."""

import asyncio
import sys
import time
from collections.abc import Sequence

import msgspec
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from tests.unit.cli.client.samples import recovery
from tests.unit.notifier.receivers import receiving
from tests.unit.notifier.test_helper import LONG, running
from vtorc.forms.recovery import RecoveryForm
from vtorc.forms.times import nanoseconds
from vtorc.forms.webhook import EventForm
from vtorc.notifier.helper import NotifierHelper
from vtorc.notifier.lines import EventLine, FromNotifier, SaidLine, StartLine, from_notifier
from vtorc.notifier.process import Notifier
from vtorc.notifier.traces import Traces

Said = list[tuple[str, bool]]


def event(form: RecoveryForm) -> bytes:
    """Return the event of a recovery that ended."""
    return msgspec.json.encode(
        EventForm(
            id="7-1",
            kind="recovery",
            at=form.began,
            shard=form.shard,
            sentence=form.sentence,
            is_over=True,
            recovery=form,
        )
    )


def spans_of(form: RecoveryForm) -> tuple[ReadableSpan, list[ReadableSpan]]:
    """Return the span of a recovery, and those below it."""
    kept = InMemorySpanExporter()
    traces = Traces(lambda *_: None, kept)
    traces.add(event(form))
    traces.close()
    spans = kept.get_finished_spans()
    (whole,) = [each for each in spans if each.parent is None]
    return whole, [each for each in spans if each is not whole]


def test_a_recovery_is_a_span_with_its_steps_below_it() -> None:
    """Spans have the times, tablets and results of the recovery and its steps; its marks are events."""
    form = recovery()
    whole, steps = spans_of(form)
    began = nanoseconds(form.began)
    assert (whole.name, whole.start_time, whole.end_time) == ("RecoverDeadPrimary", began, began + 1_300_000_000)
    attributes = whole.attributes or {}
    assert (attributes["vtorc.shard"], attributes["vtorc.winner"]) == (form.shard, form.winner)
    assert "vtorc.rule" not in attributes
    assert [(each.name, each.timestamp - began) for each in whole.events] == [("promoted", 1_250_000_000)]
    assert whole.status.status_code is StatusCode.UNSET
    assert whole.resource.attributes["service.name"] == "vtorc"
    assert whole.context is not None
    for span, step in zip(steps, form.steps, strict=True):
        assert span.parent is not None
        assert span.parent.span_id == whole.context.span_id
        assert (span.name, span.start_time) == (step.name, began + round(step.started * 1e9))
        assert (span.attributes or {}).get("vtorc.tablet") == step.tablet


def test_a_failure_is_told_on_its_span() -> None:
    """A recovery and a step that failed have the status ERROR and say why; those that were done have not."""
    form = recovery()
    broken = msgspec.structs.replace(form.steps[0], result="it hangs")
    whole, steps = spans_of(
        msgspec.structs.replace(form, outcome="failed", sentence="it failed", steps=[broken, *form.steps[1:]])
    )
    assert (whole.status.status_code, whole.status.description) == (StatusCode.ERROR, "it failed")
    assert (steps[0].status.status_code, steps[0].status.description) == (StatusCode.ERROR, "it hangs")
    for span, step in zip(steps[1:], form.steps[1:], strict=True):
        assert (span.status.status_code is StatusCode.ERROR) is (step.result != "done")


def test_a_receiver_that_takes_nothing_is_told_once() -> None:
    """The first of several failures is told, and the first success after them."""

    class Moody(SpanExporter):
        results = [SpanExportResult.FAILURE, SpanExportResult.FAILURE, SpanExportResult.SUCCESS]  # noqa: RUF012

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            return self.results.pop(0)

        def shutdown(self) -> None:
            """Do nothing."""

    said: Said = []
    traces = Traces(lambda *each: said.append(each), Moody())
    for _ in range(3):
        traces.add(event(recovery()))
        assert traces._provider.force_flush()
    traces.close()
    assert [is_wrong for _, is_wrong in said] == [True, False]


async def test_the_notifier_exports_to_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recovery that vtorc tells its notifier comes to the receiver of the variable, as OTLP over HTTP."""
    async with receiving(lambda _: 200) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{receiver.port}")
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
        helper = NotifierHelper(StartLine(webhook=None, traces=True, shell="bash"))
        body = msgspec.Raw(event(recovery()))
        helper.send_event(EventLine(to="traces", id="trace-7-1", kind="recovery", at=time.time_ns(), body=body))
        async with running(helper):
            (got,) = await receiver.until(1)
            assert (await helper.run_command("true", {}, LONG)).is_done
    (resource,) = ExportTraceServiceRequest.FromString(got.body).resource_spans
    names = [span.name for scope in resource.scope_spans for span in scope.spans]
    assert names.count("RecoverDeadPrimary") == 1
    assert len(names) == 1 + len(recovery().steps)


class FakeWriter:
    """Keeps what a notifier tells vtorc."""

    def __init__(self) -> None:
        self.told: list[FromNotifier] = []

    def is_closing(self) -> bool:
        """Return that it is open."""
        return False

    def write(self, line: bytes) -> None:
        """Keep a line."""
        self.told.append(from_notifier(line))


async def said_at_start() -> list[str]:
    """Start a notifier with traces in this process, and return what it says of what is wrong."""
    writer = FakeWriter()
    Notifier(StartLine(webhook=None, traces=True, shell="bash"), writer)  # type: ignore[arg-type]
    await asyncio.sleep(0)
    return [line.sentence for line in writer.told if isinstance(line, SaidLine) and line.is_wrong]


async def test_without_the_extra_vtorc_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The notifier starts without traces, and names the missing module and the extra."""
    monkeypatch.delitem(sys.modules, "vtorc.notifier.traces")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    (sentence,) = await said_at_start()
    assert "opentelemetry.sdk.resources is missing" in sentence
    assert "pip install 'vtorc[tracing]'" in sentence


async def test_a_wrong_variable_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that the SDK refuses is told with its words, and the notifier starts without traces."""
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "999999")
    (sentence,) = await said_at_start()
    assert "a variable OTEL_* of the environment is wrong" in sentence
