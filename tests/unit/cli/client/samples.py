"""Forms as vtorc sends them, for the tests of the command line: made of real judgements, and of made-up recoveries."""

from dataclasses import replace

from msgspec import structs

from tests.unit.demo.shards import NOW, A, B, C, cut_off, failing, healthy, judge, primary, replica
from vtorc.core.decision.decisions import DecisionLimits
from vtorc.forms.findings import finding_form
from vtorc.forms.fleet import StatusForm, WhyForm
from vtorc.forms.frames import DecisionFrame, StatusFrame
from vtorc.forms.plan import CandidateForm, PlanForm
from vtorc.forms.readiness import ReadinessForm, readiness_form
from vtorc.forms.recovery import RecoveryForm, RunningForm, StepForm
from vtorc.forms.shard import ShardForm, shard_form
from vtorc.forms.tablet import Moment
from vtorc.recovery.runner import Judgement
from vtorc.recovery.session import Bounds

MOMENT = Moment(NOW, 1_764_460_800_000_000_000)
"""2025-11-30 00:00:00 UTC."""

AT = "2025-11-30T00:00:00.000Z"

HEALTHY = healthy()
LOST = judge(failing(primary()), cut_off(replica(B)), cut_off(replica(C)))
"""The primary is lost, and vtorc replaces it."""
UNREADY = replace(HEALTHY, limits=DecisionLimits(allow_emergency_reparent=False))
"""The same, and a lost primary would not be replaced."""
REFUSED = judge(failing(primary()), cut_off(replica(B)), failing(replica(C)), durability="none")

STEPS = [
    StepForm(name="lock the shard", tablet=None, started=0.0, seconds=0.012, result="done"),
    StepForm(name="stop replication", tablet=str(B), started=0.012, seconds=0.1, result="done"),
    StepForm(name="stop replication", tablet=str(C), started=0.012, seconds=1.25, result="it does not answer"),
]


def shard(judgement: Judgement = HEALTHY, *, name: str = "commerce/0", running: RunningForm | None = None) -> ShardForm:
    """Return the form of a shard as it was judged, under a name."""
    form = shard_form(judgement, MOMENT, revision=1, running=running)
    keyspace, _, short = name.partition("/")
    return structs.replace(
        form, name=name, keyspace=keyspace, shard=short, sentence=form.sentence.replace("commerce/0", name)
    )


def readiness(judgement: Judgement = HEALTHY) -> ReadinessForm:
    """Return what would follow if the primary died."""
    form = readiness_form(judgement, Bounds(), NOW)
    assert form is not None
    return form


def decision(judgement: Judgement = LOST, *, is_gone: bool = False) -> DecisionFrame:
    """Return the first decision of a judgement as it is told."""
    return DecisionFrame(
        at=AT, change="cleared" if is_gone else "decided", finding=finding_form(judgement.decisions[0])
    )


def status(**changes: object) -> StatusFrame:
    """Return what holds for vtorc as a whole."""
    form = StatusFrame(
        version="0.1.0",
        process=4711,
        started="2025-11-29T12:00:00.000Z",
        recoveries_allowed=True,
        emergency_reparents_allowed=True,
        clusters_to_watch=[],
        topology_failures=[],
        announcements=[],
        history_file="",
    )
    return structs.replace(form, **changes)


def status_form(**changes: object) -> StatusForm:
    """Return the answer about the whole."""
    form = StatusForm(
        **structs.asdict(status()),
        states={"healthy": 2, "repairing": 0, "standing_still": 0, "unknown": 0},
        sentence="all 2 shards are healthy",
        control_heard_seconds=0.1,
        revision=3,
    )
    return structs.replace(form, **changes)


def why(form: ShardForm, **changes: object) -> WhyForm:
    """Return why a shard is as it is, without a past."""
    answer = WhyForm(
        shard=form.name,
        state=form.state,
        sentence=form.sentence,
        findings=form.findings,
        readiness=form.ready,
        decisions=[],
        recoveries=[],
    )
    return structs.replace(answer, **changes)


def recovery(**changes: object) -> RecoveryForm:
    """Return an emergency reparent that succeeded."""
    form = RecoveryForm(
        id="1764460800000000000",
        shard="commerce/0",
        kind="RecoverDeadPrimary",
        code="DeadPrimary",
        tablet=str(A),
        began=AT,
        seconds=1.3,
        outcome="succeeded",
        rule=None,
        winner=str(B),
        argument=f"{A} can no longer commit",
        removed={str(C): "it did not answer"},
        errant={},
        data_loss=None,
        marks={"promoted": 1.25},
        steps=STEPS,
        sentence=f"commerce/0: promoted {B}",
    )
    return structs.replace(form, **changes)


def running(steps: int = 1) -> RunningForm:
    """Return a planned reparent in progress, with its first steps done."""
    return RunningForm(
        id=recovery().id,
        shard="commerce/0",
        kind="PlannedReparent",
        code=None,
        tablet=None,
        began=AT,
        steps=STEPS[:steps],
        sentence=f"commerce/0: moving the primary to {B}",
    )


def plan(**changes: object) -> PlanForm:
    """Return a plan that can be carried out."""
    form = PlanForm(
        id="p1",
        shard="commerce/0",
        kind="planned",
        created=AT,
        expires="2025-11-30T00:01:00.000Z",
        shard_revision=1,
        from_primary=str(A),
        to=str(B),
        steps=["lock the shard", f"make {A} read-only", f"promote {B}"],
        candidates=[
            CandidateForm(tablet=str(B), chosen=True, why_not=None),
            CandidateForm(tablet=str(C), chosen=False, why_not="it is in another cell"),
        ],
        argument=f"{A} commits nothing more before {B} has everything",
        write_gap="writes wait for about 0.1 s",
        risk="",
        refusal=None,
        sentence=f"commerce/0: {B} takes over from {A}",
    )
    return structs.replace(form, **changes)
