"""What the pages of the web UI show, and what they do with names that are meant to do harm."""

from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.unit.core.builders import hold
from tests.unit.server.today.memories import settings_frame
from tests.unit.server.told import (
    LOST,
    NOW,
    OTHER,
    WELL,
    Answered,
    RecordedAsk,
    ask_app,
    heartbeat,
    lost,
    recovery,
    snapshot,
    status,
    told_memory,
    well,
)
from vtorc.core.facts.holds import Effect
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import AnyFrame, AuditFrame, HoldsFrame, NotesFrame, RecoveryFrame, ShardFrame
from vtorc.forms.hold import hold_form
from vtorc.forms.notes import AcknowledgementForm
from vtorc.forms.plan import CandidateForm, PlanForm
from vtorc.forms.readiness import LossForm, ReadinessForm
from vtorc.forms.recovery import RunningForm, StepForm
from vtorc.recovery.record import Outcome
from vtorc.server.app import make_app
from vtorc.server.listener import Listener
from vtorc.server.memory import ServerMemory
from vtorc.server.options import ServerRules
from vtorc.server.ui.assets import ASSETS, asset_path
from vtorc.server.ui.fleet import FIRST_ROWS
from vtorc.server.ui.renderer import PART_HEADER

HOSTILE = "<script>alert(1)</script>\"'&\u202e\n" + "x" * 10_000

READY = ReadinessForm(
    ready=True,
    sentence="if zone1-0000000101 died now, zone2-0000000102 would become primary",
    winner="zone2-0000000102",
    others=[],
    rule=None,
    blocked_by=[],
    removed={"zone3-0000000103": "it is too far behind"},
    first="",
    doubts=[],
    at_risk=[],
    losses=[LossForm(what="cell zone2", outcome="writes_stall", sentence="without zone2 writes stall")],
)

RUNNING = RunningForm(
    id="17",
    shard=LOST,
    kind="RecoverDeadPrimary",
    code="DeadPrimary",
    tablet="zone1-0000000101",
    began="2023-11-14T22:13:20.000Z",
    steps=[StepForm(name="stop replication", tablet="zone2-0000000102", started=0.1, seconds=0.2, result="done")],
    sentence=f"{LOST}: replacing the primary",
)

PLAN = PlanForm(
    id="1-1",
    shard=WELL,
    kind="planned",
    created="2023-11-14T22:13:20.000Z",
    expires="2023-11-14T22:14:20.000Z",
    shard_revision=1,
    from_primary="zone1-0000000101",
    to="zone2-0000000102",
    steps=["Take the shard lock.", "Make zone2-0000000102 primary."],
    candidates=[
        CandidateForm(tablet="zone2-0000000102", chosen=True, why_not=None),
        CandidateForm(tablet="zone3-0000000103", chosen=False, why_not="it is behind"),
    ],
    argument="zone2-0000000102 has applied every transaction",
    write_gap="Writes pause for about 0.1 s.",
    risk="",
    refusal=None,
    sentence=f"{WELL}: would move the primary",
)


def everything() -> Iterator[AnyFrame]:
    """Yield a fleet with a recovery in progress, a shard that is ready, and settings."""
    yield from snapshot()
    yield heartbeat()
    yield settings_frame()
    yield ShardFrame(shard=structs.replace(well(), ready=READY))
    yield ShardFrame(shard=structs.replace(lost(), running=RUNNING))


class _Seen(HTMLParser):
    """The elements of a page, and the text in it."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def page(
    path: str,
    memory: ServerMemory | None = None,
    *,
    ask: RecordedAsk | None = None,
    headers: dict[str, str] | None = None,
) -> Answered:
    """Return the answer to a browser that asks for a page."""
    app = make_app(memory or told_memory(everything()), ask or RecordedAsk())
    return await ask_app(app, path, headers=headers or {})


async def rows(path: str) -> list[str | None]:
    """Return the names of the shards on the page of the fleet, in their order."""
    seen = _Seen((await page(path)).text)
    return [a.get("data-key") for tag, a in seen.elements if tag == "li" and (a.get("class") or "").startswith("row")]


async def test_the_fleet_answers_whether_anything_is_broken() -> None:
    """The first sentence counts the shards that are not healthy, and the worst shards come first."""
    answer = await page("/ui/")
    assert "3 shards: 1 repairing, 2 healthy; 1 perhaps takes no writes." in answer.text
    assert await rows("/ui/") == [LOST, WELL, OTHER]


async def test_what_vtorc_does_has_room_of_its_own_in_a_row() -> None:
    """The end of a shard's sentence is not cut off with its beginning, and a healthy shard has one part."""
    text = " ".join((await page("/ui/")).text.split())
    problem, done = lost().findings[0].problem.removeprefix(f"{LOST}: "), "replacing the primary"
    assert f'title="{escape(problem)}; {done}' in text
    assert f'<span>{escape(problem)};</span> <span class="done">{done}' in text
    assert text.count('class="done"') == 1


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?state=healthy", [WELL, OTHER]),
        ("?keyspace=customer&q=", [OTHER]),
        ("?code=DeadPrimary", [LOST]),
        ("?q=cust", [OTHER]),
        ("?cell=zone9", []),
        ("?after=2", [OTHER]),
    ],
)
async def test_the_fleet_is_shown_as_the_address_asks(query: str, names: list[str]) -> None:
    """Each parameter chooses shards; an empty one, as a form sends it, chooses nothing."""
    assert await rows(f"/ui/{query}") == names


async def test_a_page_of_a_large_fleet_has_its_first_rows_only() -> None:
    """The order has all names, the page the first rows, and a link leads readers without JavaScript to the next."""
    memory = told_memory(everything())
    for number in range(FIRST_ROWS):
        memory.take(ShardFrame(shard=well(f"many/{number:04}")), NOW)
    app = make_app(memory, RecordedAsk())
    first = (await ask_app(app, "/ui/?state=healthy")).text
    assert first.count('<li class="row') == FIRST_ROWS
    assert f'href="/ui/?state=healthy&amp;after={FIRST_ROWS}" rel="next"' in first
    assert len((await ask_app(app, "/ui/order?state=healthy")).json) == FIRST_ROWS + 2
    assert 'rel="next"' not in (await ask_app(app, f"/ui/?state=healthy&after={FIRST_ROWS}")).text


async def test_rows_are_rendered_again_one_by_one() -> None:
    """A request for some rows gets these, without those of shards that have gone."""
    answer = await page(f"/ui/rows?name={quote(WELL)}&name=gone/0")
    assert answer.text.count('<li class="row') == 1
    assert "zone1-0000000101 takes writes" in answer.text


async def test_the_loss_of_a_cell_is_shown_over_the_fleet() -> None:
    """With a cell chosen to be lost, each shard tells its fate, and the page how many would not get through."""
    answer = await page("/ui/?lose=zone2&keyspace=commerce&state=healthy")
    assert "If cell zone2 were lost now, 1 shard of those chosen would not get through" in answer.text
    assert "without zone2 writes stall" in answer.text
    assert "1 shard of those chosen" not in (await page("/ui/?lose=zone1&state=healthy&keyspace=commerce")).text


async def test_a_shard_shows_its_tablets_and_what_would_happen() -> None:
    """The page of a shard has a card for each tablet, a plan for each replica, and its readiness."""
    seen = _Seen((await page(f"/ui/shards/{WELL}")).text)
    cards = {a["data-alias"]: a for tag, a in seen.elements if "data-alias" in a}
    assert sorted(alias or "" for alias in cards) == ["zone1-0000000101", "zone2-0000000102", "zone3-0000000103"]
    assert "data-plan" not in cards["zone1-0000000101"]
    assert cards["zone2-0000000102"]["data-plan"] == f"/ui/shards/{WELL}/plan?kind=planned&to=zone2-0000000102"
    assert "would win an election" in seen.text
    assert "cannot win: it is too far behind" in seen.text
    assert f"Ready. I{READY.sentence[1:]}." in seen.text


async def test_a_shard_that_is_broken_says_what_is_done() -> None:
    """The findings of a shard come with what vtorc does about them."""
    text = _Seen((await page(f"/ui/shards/{LOST}")).text).text
    assert "DeadPrimary" in text
    assert "vtorc carries out RecoverDeadPrimary" in text


async def test_recoveries_in_progress_are_on_top_of_every_page() -> None:
    """Each page leads to the recovery in progress."""
    for path in ("/ui/", f"/ui/shards/{WELL}", "/ui/recoveries", "/ui/settings", "/ui/nothing"):
        assert '<a href="/ui/recoveries/17">commerce/80-: replacing the primary</a>' in (await page(path)).text


async def test_a_plan_is_shown_before_anything_is_done() -> None:
    """The page of a plan asks vtorc for one, and has its steps, its argument and its candidates."""
    ask = RecordedAsk(body=msgspec.to_builtins(PLAN))
    answer = await page(f"/ui/shards/{WELL}/plan?kind=planned&to=zone2-0000000102", ask=ask)
    assert [(kind, arguments) for kind, arguments, _ in ask.asked] == [
        ("plan", {"shard": WELL, "kind": "planned", "to": "zone2-0000000102"})
    ]
    text = _Seen(answer.text).text
    for told in (*PLAN.steps, PLAN.argument, PLAN.write_gap, "it is behind", "nothing that was acknowledged"):
        assert told in text


async def test_a_plan_that_is_refused_cannot_be_carried_out() -> None:
    """A plan with a refusal tells it, and has no form."""
    refused = structs.replace(PLAN, refusal="zone2-0000000102 has errant transactions", steps=[])
    answer = await page(f"/ui/shards/{WELL}/plan", ask=RecordedAsk(body=msgspec.to_builtins(refused)))
    assert "It cannot be carried out: zone2-0000000102 has errant transactions" in answer.text
    assert 'id="confirm"' not in answer.text


async def test_a_plan_that_loses_writes_needs_that_to_be_accepted() -> None:
    """The form of a plan with a risk has a box that says what is accepted."""
    risky = structs.replace(PLAN, risk="writes of the last second may be lost")
    answer = await page(f"/ui/shards/{WELL}/plan", ask=RecordedAsk(body=msgspec.to_builtins(risky)))
    assert 'name="accept_loss" required> I accept: writes of the last second may be lost' in answer.text


async def test_a_forced_promotion_is_not_called_safe() -> None:
    """Neither its plan nor the recovery says why no write is missing: both rest on the word of an operator."""
    forced = structs.replace(PLAN, kind="forced", argument="An operator names it")
    planned = await page(f"/ui/shards/{WELL}/plan", ask=RecordedAsk(body=msgspec.to_builtins(forced)))
    memory = told_memory(everything())
    lossy = structs.replace(recovery(5), argument="An operator names it", data_loss="2 writes are lost")
    safe = structs.replace(recovery(6), argument="it can no longer commit", data_loss=None)
    for each in (lossy, safe):
        memory.take(RecoveryFrame(recovery=each), NOW)
    ended = await page(f"/ui/recoveries/{lossy.id}", memory)
    for answer in (planned, ended):
        assert "On the word of an operator" in answer.text
        assert "no acknowledged write" not in answer.text.lower()
    assert "Why no acknowledged write is missing" in (await page(f"/ui/recoveries/{safe.id}", memory)).text


async def test_a_plan_that_vtorc_does_not_make_says_why() -> None:
    """The reason of a refusal is on the page, with its status and with what to do."""
    body = {"type": "about:blank", "title": "t", "status": 409, "what": "a/0", "why": "it is busy", "do": "wait"}
    answer = await page("/ui/shards/a/0/plan", ask=RecordedAsk(status=409, body=body))
    assert answer.status == 409
    assert "it is busy" in answer.text
    assert "To do: wait." in answer.text


async def test_a_recovery_has_a_permanent_address() -> None:
    """A recovery is at the address of its id while it runs, and once it has ended."""
    running = await page("/ui/recoveries/17")
    assert "RecoverDeadPrimary: in progress" in running.text
    assert 'id="cancel"' in running.text
    ended = await page(f"/ui/recoveries/{recovery(1).id}")
    assert "RecoverDeadPrimary: succeeded" in ended.text
    assert 'id="cancel"' not in ended.text


async def test_a_recovery_that_was_taken_on_a_moment_ago_is_waited_for() -> None:
    """A recovery of a known shard that vtorc has not told of yet begins; one of no shard is unknown."""
    begins = await page(f"/ui/recoveries/99?shard={quote(WELL)}")
    assert (begins.status, "The recovery begins" in begins.text) == (200, True)
    assert (await page("/ui/recoveries/99?shard=none/0")).status == 404
    assert (await page("/ui/recoveries/99")).status == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 2), ("?shard=commerce/80-", 2), ("?shard=a/0", 0), ("?outcome=failed", 0), ("?unacknowledged=true", 0)],
)
async def test_recoveries_are_listed_as_asked_for(query: str, count: int) -> None:
    """The list of recoveries has those of the shard and the outcome in its address."""
    assert (await page(f"/ui/recoveries{query}")).text.count('<tr data-key="') == count


async def test_settings_show_what_operators_chose() -> None:
    """The settings that are not at their default come first; all are shown on request, and secrets never."""
    memory = told_memory(everything())
    memory.take(settings_frame({"instance_poll_time": "flag --instance-poll-time"}), NOW)
    chosen = await page("/ui/settings", memory)
    assert "instance-poll-time" in chosen.text
    assert "topo-implementation" not in chosen.text
    assert "topo-implementation" in (await page("/ui/settings?all=1", memory)).text


@pytest.mark.parametrize("path", ["/ui/?state=bad", "/ui/?after=-1", "/ui/recoveries?limit=x"])
async def test_an_address_that_makes_no_sense_is_told(path: str) -> None:
    """A parameter with an impossible value is a page that names it, with status 400."""
    answer = await page(path)
    assert (answer.status, "The query cannot be used" in answer.text) == (400, True)
    assert "<title>Not found" not in answer.text


async def test_a_page_that_does_not_exist_leads_back() -> None:
    """An unknown page has status 404, and a link to the fleet."""
    answer = await page("/ui/nothing")
    assert (answer.status, 'href="/ui/"' in answer.text) == (404, True)
    assert "<title>Not found" in answer.text


async def test_a_browser_gets_the_main_part_alone() -> None:
    """A page that renders itself again gets its main part, without the frame around it."""
    part = await page("/ui/", headers={PART_HEADER: "1"})
    assert part.text.lstrip().startswith("<main")
    assert "<html" not in part.text


async def test_pages_need_no_other_host() -> None:
    """Each file of a page is the server's own, and the policy of its content allows no others."""
    for path in ("/ui/", f"/ui/shards/{WELL}", "/ui/recoveries/17"):
        answer = await page(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        seen = _Seen(answer.text)
        addresses = [a[name] or "" for _, a in seen.elements for name in ("src", "href", "action") if name in a]
        assert addresses
        assert all(address.startswith(("/", "#")) and not address.startswith("//") for address in addresses)
        assert not [a for tag, a in seen.elements if "style" in a or any(name.startswith("on") for name in a)]
        assert not [tag for tag, a in seen.elements if tag == "script" and not a.get("src")]


@pytest.mark.parametrize("name", sorted(ASSETS))
async def test_files_are_kept_for_ever_under_their_own_tag(name: str) -> None:
    """A file has its type, and is kept by browsers under the address that has its tag."""
    answer = await page(asset_path(name))
    assert (answer.status, "immutable" in answer.headers["cache-control"]) == (200, True)
    assert answer.body == ASSETS[name].body
    old = await page(f"/ui/static/0/{name}")
    assert (old.status, old.headers["cache-control"]) == (200, "no-cache")


async def test_a_file_that_does_not_exist_is_not_found() -> None:
    """No other file of the host is served."""
    assert (await page("/ui/static/0/pages.py")).status == 404


async def test_links_have_the_prefix_of_the_server() -> None:
    """Behind a prefix all links and files of a page have it."""
    app = make_app(
        told_memory(everything()), RecordedAsk(), listener=Listener.V12, rules=ServerRules(url_prefix="/orc")
    )
    seen = _Seen((await ask_app(app, f"/orc/ui/shards/{WELL}")).text)
    paths = [a[name] or "" for _, a in seen.elements for name in ("src", "href", "data-plan") if name in a]
    assert all(path.startswith(("/orc/ui/", "#")) for path in paths)
    for path in paths:
        assert path.startswith("#") or "/plan" in path or (await ask_app(app, path)).status == 200, path


async def test_hostile_names_stay_text() -> None:
    """Markup in names, sentences, errors and reasons is text on every page, and no element of its own."""
    memory = hostile_memory()
    body = msgspec.to_builtins(structs.replace(PLAN, sentence=HOSTILE, argument=HOSTILE, steps=[HOSTILE], to=HOSTILE))
    shard = quote(f"{HOSTILE}/{HOSTILE}".replace("/", "")[:40], safe="")
    paths = ["/ui/", f"/ui/?q={quote(HOSTILE[:200])}", "/ui/recoveries", f"/ui/recoveries/{recovery(1).id}"]
    for path in [*paths, "/ui/shards/k/0", "/ui/shards/k/0/plan", f"/ui/{shard}"]:
        answer = await page(path, memory, ask=RecordedAsk(body=body))
        seen = _Seen(answer.text)
        scripts = [a for tag, a in seen.elements if tag == "script"]
        assert all((a.get("src") or "").startswith("/ui/static/") for a in scripts), path
        assert "<script>alert" not in answer.text, path


@given(text=st.text(min_size=1, max_size=60))
async def test_any_name_of_a_shard_leads_to_its_page(text: str) -> None:
    """The link of a row, taken as a browser takes it, has the shard's own page, whatever its name is made of."""
    name = text.replace("/", "").strip() or "x"
    if name in (".", ".."):
        return
    shard = structs.replace(well("k/0"), name=f"k/{name}", shard=name)
    memory = ServerMemory()
    for frame in (status(), ShardFrame(shard=shard)):
        memory.take(frame, NOW)
    app = make_app(memory, RecordedAsk())
    seen = _Seen((await ask_app(app, "/ui/")).text)
    link = next(a["href"] for tag, a in seen.elements if tag == "a" and a.get("class") == "cell-name")
    assert link is not None
    assert (await ask_app(app, link)).status == 200


def hostile_memory() -> ServerMemory:
    """Return the memory of a fleet whose names and sentences try to break a page."""
    memory = told_memory(everything())
    form = lost("k/0")
    tablets = [structs.replace(tablet, host=HOSTILE, mysql_host=HOSTILE, version=HOSTILE) for tablet in form.tablets]
    findings = [structs.replace(finding, sentence=HOSTILE, problem=HOSTILE) for finding in form.findings]
    cells = {HOSTILE[:80]: HOSTILE}
    memory.take(
        ShardFrame(
            shard=structs.replace(
                form, sentence=HOSTILE, tablets=tablets, findings=findings, unreadable_cells=cells, durability=HOSTILE
            )
        ),
        NOW,
    )
    memory.take(ShardFrame(shard=structs.replace(form, name=f"k/{HOSTILE}", shard=HOSTILE)), NOW)
    ended = structs.replace(recovery(1), sentence=HOSTILE, reason=HOSTILE, actor=HOSTILE, removed={HOSTILE: HOSTILE})
    memory.take(RecoveryFrame(recovery=ended), NOW)
    memory.take(status(topology_failures=[HOSTILE]), NOW)
    return memory


async def test_holds_are_shown_where_they_hold_and_can_be_made() -> None:
    """A hold is on the page of its shard and on the card of its tablet, with a form that lifts it; all may be made."""
    memory = told_memory(everything())
    on_shard = hold_form(hold(Effect.NO_FAILOVER, on=f"shard:{WELL}"))
    on_tablet = structs.replace(hold_form(hold(Effect.NOT_PROMOTABLE, on="tablet:zone2-0000000102")), number=9)
    form = well()
    tablets = [
        structs.replace(tablet, holds=[on_tablet]) if tablet.alias == "zone2-0000000102" else tablet
        for tablet in form.tablets
    ]
    memory.take(ShardFrame(shard=structs.replace(form, tablets=tablets, holds=[on_shard])), NOW)
    answer = await page(f"/ui/shards/{WELL}", memory)
    assert answer.text.count(escape(on_tablet.sentence)) == 2
    assert f'data-lift="{on_shard.number}"' in answer.text
    assert 'data-lift="9"' in answer.text
    assert '<option value="tablet:zone3-0000000103">' in answer.text


async def test_a_hold_of_the_whole_fleet_is_on_every_page() -> None:
    """What holds everywhere is a banner on each page."""
    memory = told_memory(everything())
    held = hold_form(hold(Effect.NO_REPAIR, on="fleet"))
    memory.take(HoldsFrame(holds=[held], outlive_vtorc=True), NOW)
    for path in ("/ui/", "/ui/settings"):
        assert f"Held: {escape(held.sentence)}" in (await page(path, memory)).text


async def test_vtorcs_that_share_the_shards_keep_their_names_on_every_page() -> None:
    """The banner about shared shards names each vtorc as it calls itself, in capitals too."""
    memory = told_memory(everything())
    memory.take(status(shards_known=9, shared_among=["Host-A", "Host-B"]), NOW)
    shown = (await page("/ui/settings", memory)).text
    assert "This vtorc watches 3 of 9 shards: they are shared among Host-A, Host-B (--share-shards)" in shown


async def test_a_recovery_that_failed_waits_for_an_operator_to_have_seen_it() -> None:
    """A recovery that did not succeed has a form to acknowledge it, and then tells which operator has."""
    memory = told_memory(everything())
    failed = recovery(5, outcome=Outcome.FAILED)
    memory.take(RecoveryFrame(recovery=failed), NOW)
    assert f'data-acknowledge="{failed.id}"' in (await page(f"/ui/recoveries/{failed.id}", memory)).text
    assert f'data-acknowledge="{recovery(1).id}"' not in (await page(f"/ui/recoveries/{recovery(1).id}", memory)).text
    seen = AcknowledgementForm(recovery=failed.id, actor="ann", comment="known", at="2023-11-14T22:13:20.000Z")
    memory.take(NotesFrame(acknowledgements=[seen], tags=[]), NOW)
    answer = await page(f"/ui/recoveries/{failed.id}", memory)
    assert "ann has seen it at 2023-11-14 22:13:20 UTC: known" in answer.text
    assert "data-acknowledge" not in answer.text


async def test_the_audit_tells_what_operators_asked_for() -> None:
    """Each request is a line with its operator, its result and its reason, as the address asks for."""
    memory = told_memory(everything())
    entry = AuditForm(
        id="7-1",
        at="2023-11-14T22:13:20.000Z",
        action="execute",
        shard=WELL,
        tablet=None,
        actor="ann",
        means=Means.PASSWORD,
        role=Role.ADMIN,
        origin="10.0.0.7",
        arguments={},
        reason="a drill",
        result="refused",
        recovery=None,
        sentence="the shard has changed",
    )
    memory.take(AuditFrame(entry=entry), NOW)
    told = (await page("/ui/audit?actor=ann", memory)).text
    assert "1 request of operators: 1 refused or failed." in told
    for text in ("10.0.0.7", "execute", "the shard has changed", "Reason: a drill"):
        assert text in told
    assert "10.0.0.7" not in (await page("/ui/audit?actor=bob", memory)).text
