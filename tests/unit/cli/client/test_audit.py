"""`vtorc ctl audit`: what operators asked for, as text."""

import pytest

from tests.unit.cli.client.fake_server import Reply, fake_server, list_reply
from vtorc.cli import ctl
from vtorc.forms.access import Means, Role
from vtorc.forms.audit import AuditForm


@pytest.mark.parametrize(
    ("sentence", "told"),
    [
        ("hold 3 is lifted", "hold 3 is lifted (reason: upgrade)"),
        ("ann asked to move the primary: upgrade", "ann asked to move the primary: upgrade"),
    ],
)
def test_a_request_is_told_with_its_time_and_with_its_reason_once(
    sentence: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Times are written as in the other commands, and a sentence that ends with the reason is enough."""
    entry = AuditForm(
        id="1",
        at="2026-12-01T08:31:09.194Z",
        action="lift",
        shard=None,
        tablet=None,
        actor="ann",
        means=Means.PASSWORD,
        role=Role.OPERATE,
        origin="10.0.0.7",
        arguments={},
        reason="upgrade",
        result="done",
        recovery=None,
        sentence=sentence,
    )

    def answer(method: str, target: str) -> Reply:
        return list_reply(entry)

    with fake_server(answer) as server:
        monkeypatch.setenv("VTORC_SERVER", server.address)
        assert ctl.main(["audit"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "2026-12-01 08:31:09Z  lift done",
        "  ann, known by password, from 10.0.0.7",
        f"  {told}",
    ]
