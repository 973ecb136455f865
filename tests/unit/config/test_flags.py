"""The command line: Go's and pflag's rules, and clear messages for problems."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.helpers import loaded, problems
from vtorc.config.catalogue import FLAGS
from vtorc.config.flags import parse_flags
from vtorc.errors import SettingsError

LISTS = {
    name
    for name, match in FLAGS.items()
    if match.setting.kind.name in ("list", "patterns", "networks", "events") and not match.setting.no_effect
}
"""The flags whose value is a list of words with commas between them."""


@pytest.mark.parametrize(
    "words",
    [
        ["-instance_poll_time=2s"],
        ["--instance_poll_time=2s"],
        ["-instance-poll-time", "2s"],
        ["--instance-poll-time", "2s"],
        ["--instance_poll-time=2s"],
        ["--instance-poll-time=9s", "-instance_poll_time=2s"],
    ],
)
def test_spells_a_flag_in_many_ways(tmp_path: Path, words: list[str]) -> None:
    """One dash or two, underscores or dashes, '=' or the next word: all are the same, and the last value counts."""
    assert loaded(tmp_path, *words).settings.instance_poll_time == 2.0


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--prevent-cross-cell-failover"], True),
        (["-prevent_cross_cell_failover=true"], True),
        (["-prevent_cross_cell_failover=F"], False),
        (["-prevent_cross_cell_failover", "--cell", "a"], True),
    ],
)
def test_reads_switches_as_go_does(tmp_path: Path, words: list[str], value: bool) -> None:
    """A switch is on if it is given and takes a value only after '='."""
    assert loaded(tmp_path, *words).settings.prevent_cross_cell_failover is value


def test_goes_on_with_a_repeated_list(tmp_path: Path) -> None:
    """A list that is given twice has the words of both."""
    found = loaded(tmp_path, "-clusters_to_watch=ks1,ks2/-80", "--clusters-to-watch", "ks3").settings
    assert found.clusters_to_watch == ("ks1", "ks2/-80", "ks3")


def test_refuses_cells_to_watch_that_name_no_cell(tmp_path: Path) -> None:
    """A slip of the pen is refused with the flag, its value and what was expected: empty would mean all cells."""
    assert problems(tmp_path, "--cells-to-watch=,") == [
        "flag --cells-to-watch: expected cells with commas between them, such as zone1,zone2, got ','"
    ]


@pytest.mark.parametrize("flag", sorted(LISTS))
@pytest.mark.parametrize("text", [",", " , ,"])
def test_refuses_commas_alone_in_each_list(tmp_path: Path, flag: str, text: str) -> None:
    """A list of commas alone is refused, as an empty list means everything for some settings."""
    assert any(f"flag --{flag}: expected" in each for each in problems(tmp_path, f"--{flag}={text}"))


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("-debug", "debug"),
        ("-verbose", "info"),
        ("-quiet", "error"),
        ("-debug=false", "info"),
        ("--log-level=WARN", "warn"),
    ],
)
def test_takes_the_level_of_logging_from_old_switches(tmp_path: Path, word: str, level: str) -> None:
    """v12's -debug, -verbose and -quiet, and v24's --log-level, set the level."""
    assert loaded(tmp_path, word).settings.log_level == level


@pytest.mark.parametrize("word", ["-noop", "-discovery=false", "--allow-recovery=false"])
def test_changes_nothing_if_it_may_only_watch(tmp_path: Path, word: str) -> None:
    """With v12's dry run, or its mode without discovery, vtorc repairs nothing."""
    assert loaded(tmp_path, word).settings.allow_recovery is False


@pytest.mark.parametrize("word", ["-noop=false", "-discovery", "-discovery=true"])
def test_repairs_where_old_switches_do_not_forbid_it(tmp_path: Path, word: str) -> None:
    """The harmless values of v12's switches do not change recovery."""
    assert loaded(tmp_path, word).settings.allow_recovery is True


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("--tablet-manager-grpc-crl=revoked.pem", "a revoked vttablet would be trusted"),
        ("--tablet-manager-protocol=http", "expected one of grpc, grpc-oneshot, grpc-cached"),
        ("--recovery-ignore-hostname-filters=db[", "expected regular expressions"),
    ],
)
def test_refuses_what_it_would_have_to_ignore(tmp_path: Path, word: str, complaint: str) -> None:
    """A value that vtorc cannot heed, and that would leave the operator less safe than it says, is refused."""
    with pytest.raises(SettingsError, match=complaint):
        loaded(tmp_path, word)


def test_the_lock_has_one_timeout_under_both_names(tmp_path: Path) -> None:
    """Vitess called --lock-timeout --lock-shard-timeout before v18."""
    assert loaded(tmp_path, "--lock-shard-timeout=20s").settings.lock_timeout == 20.0


_WRONG = [
    (["-durabilty=none"], ["unknown flag -durabilty; did you mean --durability or --durability-params"]),
    (["-zzz"], ["unknown flag -zzz"]),
    (["--check-confg"], ["unknown flag --check-confg; did you mean --check-config"]),
    (["--check-config=maybe"], ["flag --check-config: expected true or false, got 'maybe'"]),
    (["--zzz", "value"], ["unknown flag --zzz"]),
    (
        ["-instance_poll_time=5"],
        [
            "flag -instance_poll_time: expected a duration above 0s and up to 2562047h, such as 30s, 1m30s or 500ms, "
            "got '5'"
        ],
    ),
    (
        ["--durability-params=,"],
        [
            "flag --durability-params: expected tablet aliases, each with prefer, neutral, prefer_not or must_not, "
            "got ','"
        ],
    ),
    (["-allow-recovery=maybe"], ["flag -allow-recovery: expected true or false, got 'maybe'"]),
    (
        ["-topo-read-concurrency=-1"],
        ["flag -topo-read-concurrency: expected a whole number from 1 to 9223372036854775807, got '-1'"],
    ),
    (["-port=70000"], ["flag -port: expected a whole number from 0 to 65535, got '70000'"]),
    (
        ["--grpc-keepalive-time=597h"],
        [
            "flag --grpc-keepalive-time: expected a duration above 0s and up to 596h, such as 30s, 1m30s or 500ms, "
            "got '597h'"
        ],
    ),
    (
        ["-clusters_to_watch=commerce/-8"],
        [
            "flag -clusters_to_watch: expected keyspaces, or keyspace/key range as in commerce/-80, with commas "
            "between them, got 'commerce/-8'"
        ],
    ),
    (
        ["-topo_global_root=/"],
        ["flag -topo_global_root: expected the path of the global records, such as /vitess/global, got '/'"],
    ),
    (
        ["-topo_global_server_address=etcd1"],
        [
            "flag -topo_global_server_address: expected host:port, or several with commas between them, each with a "
            "port from 1 to 65535, got 'etcd1'"
        ],
    ),
    (
        ["-topo_implementation=zk2", "-topo_global_server_address=zk1:2181,zk2:2181|zk3"],
        [
            "flag -topo_global_server_address: expected host:port, or several with commas between them, each with a "
            "port from 1 to 65535; servers for readers alone may follow after a |, got 'zk1:2181,zk2:2181|zk3'"
        ],
    ),
    (
        ["-topo_implementation=k8s"],
        ["flag -topo_implementation: expected one of etcd2, consul, zk2, local, got 'k8s'"],
    ),
    (
        ["-debug", "false"],
        ["unexpected word 'false': the switch -debug takes its value with '=', as in -debug=false"],
    ),
    (["serve"], ["unexpected word 'serve': the daemon takes flags only, and each begins with a dash"]),
    (
        ["--", "-debug"],
        ["unexpected word '-debug': the daemon takes flags only, and each begins with a dash"],
    ),
    (["-log_dir"], ["flag -log_dir needs a value: text in UTF-8 without a zero byte"]),
    (["-log_dir", "--"], ["flag -log_dir needs a value: text in UTF-8 without a zero byte"]),
    (["-cell", "-debug"], ["flag -cell needs a value, but the next word is the flag -debug; if meant, -cell=-debug"]),
    (["---debug"], ["unexpected word '---debug': expected a flag such as -name or --name=value"]),
    (["-=x"], ["unexpected word '-=x': expected a flag such as -name or --name=value"]),
    (["-"], ["unexpected word '-': the daemon takes flags only, and each begins with a dash"]),
    (["-cell", "a\nb", "x\ny"], ["unexpected word 'x\\ny': the daemon takes flags only, and each begins with a dash"]),
    (
        ["-mysql-topology-password=x"],
        [
            "unknown flag -mysql-topology-password; did you mean --mysql-topology-user or "
            "--mysql-topology-ssl-cert-file or --mysql-topology-ssl-ca-file"
        ],
    ),
]


@pytest.mark.parametrize(("words", "expected"), _WRONG)
def test_names_what_is_wrong_with_a_flag(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    """A problem names the flag, its value and what was expected, on one line."""
    assert problems(tmp_path, *words) == expected


def test_tells_all_problems_at_once(tmp_path: Path) -> None:
    """All problems of the command line and of the file are reported together."""
    found = problems(tmp_path, "-zzz", "-cell", "-debug=maybe", "-lock-timeout=1", file={"Debug": 1, "Durability": 2})
    assert [problem.partition(":")[0] for problem in found] == [
        "unknown flag -zzz",
        "flag -cell needs a value, but the next word is the flag -debug=maybe; if meant, -cell=-debug=maybe",
        "flag -debug",
        "flag -lock-timeout",
        "orc_config.json",
        "orc_config.json",
    ]


@pytest.mark.parametrize("words", [["-h"], ["-help"], ["--help"], ["-zzz", "--help"], ["-cell", "a", "-h"]])
def test_wants_help(words: list[str]) -> None:
    """A request for help counts at any place of the command line."""
    assert parse_flags(words).wants == "help"


@pytest.mark.parametrize(
    ("words", "wants"),
    [
        (["-v"], "version"),
        (["--version"], "version"),
        (["-v=2"], "run"),
        (["-v", "2"], "run"),
        (["--v=1"], "run"),
        (["-v", "-h"], "help"),
        (["--check_config"], "check"),
        (["--check-config=false"], "run"),
        (["--help", "--check-config"], "help"),
    ],
)
def test_tells_version_from_verbosity(words: list[str], wants: str) -> None:
    """-v alone asks for the version, as since v14; with a number it is the old level of logging."""
    assert parse_flags(words).wants == wants


def test_takes_the_word_http(tmp_path: Path) -> None:
    """orchestrator's word `http` is accepted at any place, reported, and does not end the flags."""
    found = loaded(tmp_path, "http", "-topo_global_root=/a")
    assert (found.settings.topo_global_root, found.notes) == (
        "/a",
        ("accepted, no effect: the word 'http' (vtorc is always the daemon)",),
    )


@given(
    st.lists(
        st.text(max_size=12) | st.sampled_from(["-", "--", "-debug", "-cell", "-v", "=", "-cell=", "--port"]),
        max_size=8,
    )
)
def test_reads_any_words_without_failing(words: list[str]) -> None:
    """For any words the outcome is settings, or problems of one line each."""
    assert all(problem.splitlines() == [problem] for problem in parse_flags(words).problems)
