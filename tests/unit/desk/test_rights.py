"""What the desk takes from clients of each role, and of some keyspaces."""

from typing import cast

import msgspec
import pytest

from tests.unit.desk.requests import Asking, caller, fields_of, problem_of
from tests.unit.desk.test_desk import OneShard
from tests.unit.recovery.fakes import Rig, with_rig
from vtorc.control.facade import FleetFacade
from vtorc.control.token_book import TokenBook
from vtorc.desk.desk import ACTS_A_MINUTE, Desk
from vtorc.forms.access import Caller, Means, NewTokenForm, Role
from vtorc.forms.audit import AuditForm
from vtorc.forms.frames import REFUSED, ProblemForm, RefusalForm, RequestFrame


class Heard(list[AuditForm]):
    """Keeps audit entries."""

    def audited(self, entry: AuditForm) -> None:
        self.append(entry)


class At:
    """A desk, the clients at it, and what it tells the audit."""

    def __init__(self, rig: Rig, acts: int = ACTS_A_MINUTE) -> None:
        self.fleet = OneShard(rig)
        self.heard = Heard()
        self.tokens = TokenBook()
        self.desk = Desk(
            cast(FleetFacade, self.fleet), audit=self.heard, tokens=self.tokens, acts_a_minute=lambda: acts
        )

    def by(self, client: Caller) -> Asking:
        """Return a client."""
        return Asking(self.desk, client)


READER, OPERATOR, ADMIN = (caller(role.value, role=role) for role in (Role.READ, Role.OPERATE, Role.ADMIN))
ELSEWHERE = caller("customer-bot", means=Means.TOKEN, keyspaces=("customer",))
HERE = caller("commerce-bot", means=Means.TOKEN, keyspaces=("commerce",))
UNKNOWN = caller("anonymous", means=Means.UNKNOWN)
TOKEN = {"name": "ci", "role": "operate", "keyspaces": None, "seconds": None}


@pytest.mark.parametrize(
    ("kind", "arguments", "least"),
    [
        ("cancel", {"shard": "commerce/0", "reason": "x"}, Role.OPERATE),
        ("execute", {"plan": "1-1", "reason": "x"}, Role.OPERATE),
        ("recoveries", {"allow": True, "reason": "x"}, Role.ADMIN),
        ("reload", {"reason": "x"}, Role.ADMIN),
        ("token_add", TOKEN, Role.ADMIN),
        ("token_revoke", {"name": "ci"}, Role.ADMIN),
        ("hold", {"scope": "shard:commerce/0", "effects": ["no_repair"], "reason": "x"}, Role.OPERATE),
        ("lift", {"hold": 1, "reason": "x"}, Role.OPERATE),
        ("tag", {"tablets": ["zone1-101"], "tag": "x"}, Role.OPERATE),
        ("command", {}, Role.OPERATE),
    ],
)
def test_each_kind_needs_its_role(kind: str, arguments: dict[str, object], least: Role) -> None:
    """A client of a lower role hears which one is needed and which one it has; the audit has the refusal."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        for client in (READER, OPERATOR):
            if client.role.includes(least):
                continue
            problem = problem_of(await at.by(client).ask(kind, **arguments))
            assert (problem.status, problem.what) == (403, kind)
            assert f"needs the role {least.value}" in problem.why
            entry = at.heard.pop()
            assert (entry.actor, entry.action, entry.result) == (client.actor, kind, "refused")
        assert at.fleet.heard == []

    with_rig(main)


def test_all_clients_that_read_plan_and_operators_execute() -> None:
    """A plan leaves no audit entry, and its execution has one that names the recovery."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        plan = await at.by(READER).plan()
        assert at.heard == []
        assert problem_of(await at.by(READER).execute(plan)).status == 403
        reply = await at.by(OPERATOR).execute(plan)
        assert reply.status == 202
        entry = at.heard[-1]
        assert (entry.result, entry.shard, entry.recovery) == (
            "begun",
            "commerce/0",
            fields_of(reply)["recovery"]["id"],
        )
        assert (entry.reason, entry.means, entry.role) == ("a drill", Means.HOST, Role.OPERATE)

    with_rig(main)


def test_only_an_admin_overrules_the_election() -> None:
    """A forced promotion needs the role admin, whether or not it would lose writes."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        plan = await at.by(OPERATOR).plan("forced", to="zone1-101")
        problem = problem_of(await at.by(OPERATOR).execute(plan, accept_loss=True))
        assert (problem.status, at.fleet.commands) == (403, [])
        assert (await at.by(ADMIN).execute(plan, accept_loss=True)).status == 202

    with_rig(main)


def test_a_client_of_other_keyspaces_finds_no_shard_and_no_plan() -> None:
    """It is answered as for a shard that does not exist, and cannot execute the plan of another client."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        for kind in ("plan", "cancel"):
            arguments = {"kind": "planned"} if kind == "plan" else {"reason": "x"}
            hidden = problem_of(await at.by(ELSEWHERE).ask(kind, shard="commerce/0", **arguments))
            missing = problem_of(await at.by(ELSEWHERE).ask(kind, shard="customer/9", **arguments))
            assert (hidden.status, hidden.why, hidden.do) == (404, missing.why, missing.do)
        plan = await at.by(HERE).plan()
        assert problem_of(await at.by(ELSEWHERE).execute(plan)).why == "this vtorc has no such plan"
        assert (await at.by(HERE).execute(plan)).status == 202

    with_rig(main)


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        ("recoveries", {"allow": False, "reason": "x"}),
        ("reload", {"reason": "x"}),
        ("token_add", TOKEN),
        ("token_revoke", {"name": "ci"}),
        ("acknowledge", {"recoveries": ["1"], "comment": "x"}),
        ("hold", {"scope": "fleet", "effects": ["no_repair"], "reason": "x"}),
    ],
)
def test_a_client_of_some_keyspaces_changes_nothing_for_all(kind: str, arguments: dict[str, object]) -> None:
    """What concerns all shards is refused to it with the reason, also if its role is admin."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        problem = problem_of(await at.by(HERE).ask(kind, **arguments))
        assert (problem.status, "commerce only" in problem.why) == (403, True)

    with_rig(main)


def test_an_unknown_client_makes_no_token() -> None:
    """A token would outlast the flag that lets clients of other hosts act."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        assert problem_of(await at.by(UNKNOWN).ask("token_add", **TOKEN)).status == 403
        assert at.tokens.tokens == ()

    with_rig(main)


def test_a_token_is_made_told_once_and_revoked() -> None:
    """vtorc keeps the hash only, and neither the audit nor a second answer has the secret."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        reply = await at.by(ADMIN).ask("token_add", **{**TOKEN, "keyspaces": ["commerce"], "seconds": 60})
        made = msgspec.json.decode(reply.body, type=NewTokenForm)
        (kept,) = at.tokens.tokens
        assert (kept.name, kept.role, kept.keyspaces, kept.created_by) == ("ci", Role.OPERATE, ("commerce",), "admin")
        assert kept.expires == kept.created + 60 * 10**9
        assert made.secret.startswith("vtorc_")
        assert made.secret not in str(at.heard)
        assert at.heard[-1].sentence == made.token.sentence
        again = problem_of(await at.by(ADMIN).ask("token_add", **TOKEN))
        assert (again.status, again.why) == (409, "there is one of that name")
        assert (await at.by(ADMIN).ask("token_revoke", name="ci")).status == 200
        assert at.tokens.tokens == ()
        assert problem_of(await at.by(ADMIN).ask("token_revoke", name="ci")).status == 404

    with_rig(main)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("name", "a b"),
        ("name", "x" * 65),
        ("name", "é"),
        ("role", "none"),
        ("role", None),
        ("keyspaces", []),
        ("keyspaces", [""]),
        ("keyspaces", "commerce"),
        ("seconds", 0),
        ("seconds", True),
        ("seconds", 10**12),
    ],
)
def test_a_token_that_makes_no_sense_is_refused(key: str, value: object) -> None:
    """The problem names the key, the value and what was expected."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        problem = problem_of(await at.by(ADMIN).ask("token_add", **{**TOKEN, key: value}))
        assert (problem.status, problem.what.partition(":")[0]) == (422, key)
        assert at.tokens.tokens == ()

    with_rig(main)


def test_refusals_of_the_server_are_told() -> None:
    """What the server refused by itself has an audit entry with its client."""

    async def main(rig: Rig) -> None:
        at = At(rig)
        problem = ProblemForm(title="wrong token", status=401, what="vtorc has no such token", why="y", do="d")
        arguments = msgspec.to_builtins(RefusalForm(action="log in", problem=problem, unlisted=4))
        client = caller("anonymous", role=Role.NONE, means=Means.UNKNOWN)
        reply = await at.desk.answer(RequestFrame(id=3, kind=REFUSED, arguments=arguments, caller=client))
        assert (reply.id, reply.status) == (3, 200)
        (entry,) = at.heard
        assert (entry.action, entry.result, entry.role, entry.arguments) == ("log in", "refused", Role.NONE, {})
        assert entry.sentence.startswith("vtorc has no such token: y (4 other requests")

    with_rig(main)
