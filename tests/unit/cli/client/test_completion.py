"""The completion script, as bash runs it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from tests.unit.cli.client.samples import HEALTHY, running, shard
from vtorc.cli.client.completion import bash_script
from vtorc.cli.client.session import document
from vtorc.forms.fleet import ListForm, shard_row
from vtorc.forms.shard import ShardForm

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")


def _completed(*words: str, shards: Sequence[ShardForm] = ()) -> list[str]:
    """Return what bash offers for the last of the words after `vtorc`, where vtorc knows these shards."""
    line = " ".join(f"'{word}'" for word in ("vtorc", *words))
    vtorc = """vtorc() { printf '%s' "$ROWS"; }"""
    asked = f"COMP_WORDS=({line}); COMP_CWORD={len(words)}; _vtorc_ctl"
    script = "\n".join([bash_script(), vtorc, asked, """printf '%s\\n' "${COMPREPLY[@]}" """])
    rows = ListForm(items=[shard_row(form) for form in shards], revision=1, cursor=None)
    environ = {**os.environ, "ROWS": document(msgspec.json.encode(rows))}
    done = subprocess.run(["bash", "-c", script], env=environ, capture_output=True, text=True, check=True)
    assert not done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["c"], ["ctl"]),
        (["ctl", "pr"], ["problems", "promote"]),
        (["ctl", "--server", "h:1", "sta"], ["status"]),
        (["ctl", "--user", "ann", "--json", "sta"], ["status"]),
        (["ctl", "status", "--user", ""], []),
        (["ctl", "shards", "--s"], ["--state", "--server"]),
        (["ctl", "shards", "--state", "s"], ["standing_still"]),
        (["ctl", "plan", "--kind", ""], ["planned", "emergency", "forced"]),
        (["ctl", "why", "com"], ["commerce/-80"]),
        (["ctl", "recoveries", "--shard", ""], ["commerce/-80"]),
        (["ctl", "completion", ""], ["bash", "--server", "--json", "--ca", "--cert", "--key", "--user"]),
        (["ctl", "promote", "--reason", ""], []),
        (["sim", "--s"], []),
    ],
)
def test_offers_what_may_follow(words: list[str], offered: list[str]) -> None:
    """Commands, options, values of options and names of shards are offered where they may stand."""
    assert _completed(*words, shards=[shard(HEALTHY, name="commerce/-80", running=running(3))]) == offered


def test_a_name_is_never_run(tmp_path: Path) -> None:
    """A shard with a name that a shell would expand is not offered, and nothing of it is run."""
    trace = tmp_path / "trace"
    names = [f"$(touch {trace})/0", f"`touch {trace}`/0", "commerce/0"]
    assert _completed("ctl", "why", "", shards=[shard(HEALTHY, name=name) for name in names])[0] == "commerce/0"
    assert not trace.exists()
