"""Settings files: the keys of v12's sample file, Vitess' other keys, and clear messages for problems."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.helpers import loaded, problems, write
from vtorc.config.files import ChosenFile, read_file
from vtorc.core.facts.durability import PromotionRule
from vtorc.core.facts.ids import TabletAlias
from vtorc.errors import SettingsError

SEED = {
    "Debug": True,
    "MySQLTopologyUser": "orc_client_user",
    "MySQLTopologyPassword": "orc_client_user_password",
    "MySQLReplicaUser": "vt_repl",
    "MySQLReplicaPassword": "",
    "RecoveryPeriodBlockSeconds": 5,
}


def test_reads_the_keys_of_the_first_file(tmp_path: Path) -> None:
    """The six keys of v12's sample file set their settings."""
    found = loaded(tmp_path, file=SEED).settings
    assert (found.log_level, found.recovery_period_block_seconds) == ("debug", 5.0)
    assert (found.mysql_topology_user, found.mysql_topology_password) == ("orc_client_user", "orc_client_user_password")
    assert (found.mysql_replica_user, found.mysql_replica_password) == ("vt_repl", "")


def test_runs_keyspaces_without_policy_as_v12_did(tmp_path: Path) -> None:
    """A v12 file without Durability gets v12's default for it, and a note."""
    found = loaded(tmp_path, file=SEED)
    assert found.settings.durability == "none"
    assert any("without Durability" in note for note in found.notes)
    assert found.sources["durability"] == 'orc_config.json, which has no key "Durability"'


@pytest.mark.parametrize("file", [{}, {"RecoveryPeriodBlockSeconds": 1}, {"Durability": ""}])
def test_names_no_policy_where_the_file_is_of_a_later_version(tmp_path: Path, file: object) -> None:
    """Without Durability, and without the key that only v11 to v13 have, keyspaces without a policy are left alone."""
    assert loaded(tmp_path, file=file).settings.durability == ""


@pytest.mark.parametrize("policy", ["none", "semi_sync", "cross_cell", "semi_sync_with_rdonly_ack", "specified"])
def test_takes_the_policy_from_the_file(tmp_path: Path, policy: str) -> None:
    """Durability names the policy."""
    assert loaded(tmp_path, file={**SEED, "Durability": policy}).settings.durability == policy


def test_reads_promotion_rules(tmp_path: Path) -> None:
    """DurabilityParams gives promotion rules by alias."""
    found = loaded(tmp_path, file={"DurabilityParams": {"zone2-0000000200": "prefer"}}).settings
    assert found.durability_params == ((TabletAlias("zone2", 200), PromotionRule.PREFER),)


@pytest.mark.parametrize("name", ["instancepollseconds", "INSTANCEPOLLSECONDS", "InstancePollSeconds"])
def test_reads_keys_in_any_case(tmp_path: Path, name: str) -> None:
    """The case of a key does not matter, as in Go."""
    assert loaded(tmp_path, file={name: 7}).settings.instance_poll_time == 7.0


def test_leaves_a_setting_alone_for_null(tmp_path: Path) -> None:
    """A null leaves the default, as in Go."""
    assert loaded(tmp_path, file={"InstancePollSeconds": None}).settings.instance_poll_time == 5.0


def test_reads_keys_of_later_versions(tmp_path: Path) -> None:
    """Keys that are flags' names hold values as v22 and later write them."""
    file = {"instance-poll-time": "10s", "prevent-cross-cell-failover": True, "clusters-to-watch": ["ks1", "ks2/-80"]}
    found = loaded(tmp_path, file=file).settings
    assert (found.instance_poll_time, found.prevent_cross_cell_failover, found.clusters_to_watch) == (
        10.0,
        True,
        ("ks1", "ks2/-80"),
    )


def test_reads_toml(tmp_path: Path) -> None:
    """A TOML file has the same settings as a JSON file."""
    write(tmp_path, 'instance-poll-time = "10s"\nDebug = true\n', "vtorc.toml")
    found = loaded(tmp_path, "--config-file=vtorc.toml").settings
    assert (found.instance_poll_time, found.log_level) == (10.0, "debug")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("a = ", "", id="unfinished"),
        pytest.param("a = " + "[" * 20_000, "nested too deeply", id="deep"),
        pytest.param("a = " + "1" * 5_000, "a number has too many digits", id="long"),
    ],
)
def test_bad_toml_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    """A TOML file that cannot be read is one problem, which names the file."""
    write(tmp_path, text, "vtorc.toml")
    with pytest.raises(SettingsError) as raised:
        loaded(tmp_path, "--config-file=vtorc.toml")
    assert f"vtorc.toml: not valid TOML: {reason}" in str(raised.value)


@pytest.mark.parametrize(("clusters", "allowed"), [(["*"], True), (["ks", "*"], True), ([], False)])
def test_heeds_which_clusters_may_be_recovered(tmp_path: Path, clusters: list[str], allowed: bool) -> None:
    """RecoverPrimaryClusterFilters with all clusters changes nothing, an empty list forbids emergency reparents."""
    found = loaded(tmp_path, file={"RecoverPrimaryClusterFilters": clusters}).settings
    assert found.allow_emergency_reparent is allowed


_WRONG: list[tuple[object, list[str]]] = [
    ('{"Debug": true,\n "Durability": "none"\n "X": 1}', [" line 3 column 2: not valid JSON: expecting ',' delimiter"]),
    (
        "",
        [
            ": is empty: expected a JSON object with the settings, or {} for none; "
            "remove the file if there are no settings"
        ],
    ),
    (
        "\n ",
        [
            ": is empty: expected a JSON object with the settings, or {} for none; "
            "remove the file if there are no settings"
        ],
    ),
    ("\ufeff{}", [": begins with a byte order mark (BOM) of UTF-8: save it as UTF-8 without one"]),
    (
        {"RecoveryPeriodBlockSeconds": 2000000000},
        [
            ': key "RecoveryPeriodBlockSeconds": expected a whole number of seconds from 0 to 1000000000, such as 30, '
            "got 2000000000"
        ],
    ),
    (
        {"clusters-to-watch": ["commerce/80-40"]},
        [
            ': key "clusters-to-watch": expected keyspaces, or keyspace/key range as in commerce/-80, with commas '
            'between them, got ["commerce/80-40"]'
        ],
    ),
    ('{"Debug": true} {}', [" line 1 column 17: not valid JSON: extra data"]),
    ("[" * 100000, [": not valid JSON: nested too deeply"]),
    ('{"port": ' + "9" * 5000 + "}", [": not valid JSON: a number has too many digits"]),
    ('{"InstancePollSeconds": NaN}', [": not valid JSON: NaN is not a value"]),
    ([1, 2], [": expected one object with the settings in it, got [1, 2]"]),
    ('"Debug"', [': expected one object with the settings in it, got "Debug"']),
    ('{"Debug": true, "Debug": false}', [': key "Debug" is given twice']),
    ('{"Debug": true, "debug": true}', [': key "debug" is given twice']),
    ({"Debug": "true"}, [': key "Debug": expected true or false, got "true"']),
    (
        {"RecoveryPeriodBlockSeconds": "five"},
        [
            ': key "RecoveryPeriodBlockSeconds": expected a whole number of seconds from 0 to 1000000000, such as 30, '
            'got "five"'
        ],
    ),
    (
        {"InstancePollSeconds": 5.5},
        [': key "InstancePollSeconds": expected a whole number of seconds from 0 to 1000000000, such as 30, got 5.5'],
    ),
    (
        {"instance-poll-time": 5000000000},
        [
            ': key "instance-poll-time": expected a duration above 0s and up to 2562047h, such as 30s, 1m30s or 500ms, '
            "got 5000000000"
        ],
    ),
    (
        {"Durability": "cross_sell"},
        [
            ': key "Durability": expected one of none, semi_sync, cross_cell, semi_sync_with_rdonly_ack, '
            'cross_cell_with_rdonly_ack, specified, test, got "cross_sell"'
        ],
    ),
    (
        {"MySQLTopologyPassword": 12345},
        [': key "MySQLTopologyPassword": expected text in UTF-8 without a zero byte, got a value that is not shown'],
    ),
    (
        {"MySQLTopologyUser": "\ud800"},
        [': key "MySQLTopologyUser": expected text in UTF-8 without a zero byte, got "\\ud800"'],
    ),
    ({"pid-file": "a\0b"}, [': key "pid-file": expected text in UTF-8 without a zero byte, got "a\\u0000b"']),
    (
        {"PromotionIgnoreHostnameFilters": ["db1", "db["]},
        [': key "PromotionIgnoreHostnameFilters": expected regular expressions, got ["db1", "db["]'],
    ),
    (
        {"PreventCrossRegionPrimaryFailover": True},
        [
            ': key "PreventCrossRegionPrimaryFailover": expected false, since vtorc cannot honour anything else '
            "(use --prevent-cross-cell-failover), got true"
        ],
    ),
    (
        {"RecoverPrimaryClusterFilters": ["ks"]},
        [
            ': key "RecoverPrimaryClusterFilters": expected ["*"] for all clusters or [] for none '
            '(to pick some, use --clusters-to-watch), got ["ks"]'
        ],
    ),
    (
        {"DurabilityParams": {"zone1": "prefer"}},
        [
            ': key "DurabilityParams": expected tablet aliases, each with prefer, neutral, prefer_not or must_not, '
            'got {"zone1": "prefer"}'
        ],
    ),
    (
        {"ListenAddress": "3000"},
        [
            ': key "ListenAddress": expected an address such as :3000 or [::1]:3000, with a port from 0 to 65535, '
            'got "3000"'
        ],
    ),
]


@pytest.mark.parametrize(("file", "expected"), _WRONG)
def test_names_what_is_wrong_with_a_file(tmp_path: Path, file: object, expected: list[str]) -> None:
    """A problem names the file, the place or key, the value and what was expected."""
    assert problems(tmp_path, file=file) == [f"orc_config.json{problem}" for problem in expected]


def test_refuses_two_keys_that_contradict_each_other(tmp_path: Path) -> None:
    """An old and a new key for one setting must agree."""
    found = problems(tmp_path, file={"InstancePollSeconds": 5, "instance-poll-time": "6s"})
    assert found == [
        'key "InstancePollSeconds" of orc_config.json and key "instance-poll-time" of orc_config.json are the same '
        "setting with different values: keep one"
    ]


def test_refuses_bytes_that_are_no_text(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the place."""
    (tmp_path / "orc_config.json").write_bytes(b'{"a": "\xff"}')
    assert problems(tmp_path, "-config=orc_config.json") == [
        "orc_config.json: expected UTF-8 text, got byte 0xff at offset 7"
    ]


@pytest.mark.parametrize(("name", "why"), [("no.json", "No such file or directory"), (".", "Is a directory")])
def test_refuses_a_file_that_cannot_be_read(tmp_path: Path, name: str, why: str) -> None:
    """A file named by -config must exist."""
    (found,) = problems(tmp_path, f"-config={name}")
    assert f"cannot be read: {why}" in found


@pytest.mark.parametrize("extension", ["yaml", "hcl", "ini"])
def test_refuses_other_formats(tmp_path: Path, extension: str) -> None:
    """A file in another of viper's formats is refused by name."""
    write(tmp_path, "a: 1", f"vtorc.{extension}")
    assert problems(tmp_path, f"--config-file=vtorc.{extension}") == [
        f"vtorc.{extension}: expected a JSON or TOML file, got {extension} (--config-type names the format)"
    ]


def test_passes_over_unknown_keys_loudly(tmp_path: Path) -> None:
    """A key that no Vitess knew is named with its nearest neighbours, as such files worked before."""
    found = loaded(tmp_path, file={"Durabilty": "none", "Zzz": 1})
    assert found.notes == (
        'orc_config.json: unknown key "Durabilty" has no effect; did you mean "Durability" or "DurabilityParams" or '
        '"durability-params"',
        'orc_config.json: unknown key "Zzz" has no effect',
    )


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("PreventCrossDataCenterMasterFailover", 'Vitess calls it "PreventCrossDataCenterPrimaryFailover"'),
        ("KVClusterMasterPrefix", 'Vitess calls it "KVClusterPrimaryPrefix", which has none either'),
    ],
)
def test_names_the_newer_spelling_of_a_key_of_orchestrator(key: str, hint: str, tmp_path: Path) -> None:
    """A key of orchestrator is answered with the name that Vitess gave it, and with no other that looks like it."""
    assert loaded(tmp_path, file={key: True}).notes == (f'orc_config.json: unknown key "{key}" has no effect; {hint}',)


def test_names_keys_without_effect(tmp_path: Path) -> None:
    """A key without effect is named with the reason."""
    found = loaded(tmp_path, file={"RaftEnabled": True, "OAuthClientSecret": "hunter2"})
    assert found.notes == (
        'accepted, no effect: key "RaftEnabled" of orc_config.json (Vitess has no raft: several vtorcs coordinate '
        "through the shard lock)",
        'accepted, no effect: key "OAuthClientSecret" of orc_config.json (vtorc has no OAuth and none of its tokens)',
    )


def test_names_keys_for_what_is_always_so(tmp_path: Path) -> None:
    """A key for what vtorc does in any case is named with that, whatever its value is."""
    found = loaded(tmp_path, file={"DelayPrimaryPromotionIfSQLThreadNotUpToDate": False})
    assert found.notes == (
        'always so: key "DelayPrimaryPromotionIfSQLThreadNotUpToDate" of orc_config.json (a replica is promoted only '
        "after it has applied all that it received; after --wait-replicas-timeout the promotion is refused)",
    )


@pytest.mark.parametrize(
    ("file", "seconds", "noted"),
    [
        ({}, 30.0, False),
        ({"RecoveryPeriodBlockSeconds": 0}, 3600.0, True),
        ({"RecoveryPeriodBlockSeconds": 0, "RecoveryPeriodBlockMinutes": 2}, 120.0, True),
        ({"RecoveryPeriodBlockSeconds": 0, "RecoveryPeriodBlockMinutes": 0}, 0.0, False),
        ({"RecoveryPeriodBlockMinutes": 2}, 30.0, True),
        ({"RecoveryPeriodBlockSeconds": 7, "RecoveryPeriodBlockMinutes": 2}, 7.0, True),
    ],
)
def test_chooses_the_block_as_v12_did(tmp_path: Path, file: object, seconds: float, noted: bool) -> None:
    """Minutes apply only where seconds are 0, and a note says so."""
    found = loaded(tmp_path, file=file)
    assert found.settings.recovery_period_block_seconds == seconds
    assert any("RecoveryPeriodBlock" in note for note in found.notes) is noted


@pytest.mark.parametrize("password", ["${SECRET}", "prefix${SECRET}suffix"])
def test_takes_the_password_from_the_environment(tmp_path: Path, password: str) -> None:
    """A password that names a variable is that variable, whole."""
    file = {**SEED, "MySQLTopologyPassword": password}
    assert loaded(tmp_path, file=file, environment={"SECRET": "pw"}).settings.mysql_topology_password == "pw"


def test_refuses_a_password_from_a_variable_with_other_bytes_than_utf8(tmp_path: Path) -> None:
    """No login could be made with it, so it is reported at the start."""
    file = {**SEED, "MySQLTopologyPassword": "${SECRET}"}
    assert problems(tmp_path, file=file, environment={"SECRET": "p\udce9"}) == [
        'orc_config.json: key "MySQLTopologyPassword": expected text in UTF-8 without a zero byte, got a value that is '
        "not shown"
    ]


def test_refuses_a_password_from_a_variable_that_is_not_set(tmp_path: Path) -> None:
    """A variable that is not set is reported by name, instead of a login with an empty password."""
    assert problems(tmp_path, file={**SEED, "MySQLTopologyPassword": "${SECRET}"}) == [
        'orc_config.json: key "MySQLTopologyPassword": the environment variable SECRET that it names is not set'
    ]


def test_reads_credentials_from_a_file_of_their_own(tmp_path: Path) -> None:
    """A my.cnf named by the file takes precedence over its keys, and may name a variable."""
    write(tmp_path, '[client]\nuser = topo\npassword="${SECRET}"\nssl\n', "client.cnf")
    file = {**SEED, "MySQLTopologyCredentialsConfigFile": "client.cnf"}
    found = loaded(tmp_path, file=file, environment={"SECRET": "pw"}).settings
    assert (found.mysql_topology_user, found.mysql_topology_password) == ("topo", "pw")


@pytest.mark.parametrize("content", [None, "user = x\n"])
def test_refuses_credentials_that_cannot_be_read(tmp_path: Path, content: str | None) -> None:
    """A credentials file that is missing or malformed is reported by key and name."""
    if content is not None:
        write(tmp_path, content, "client.cnf")
    (found,) = problems(tmp_path, file={"MySQLTopologyCredentialsConfigFile": "client.cnf"})
    assert found.startswith(
        'orc_config.json: key "MySQLTopologyCredentialsConfigFile": expected a file with user and password under '
        '[client], got "client.cnf"'
    )


@pytest.mark.parametrize("name", ["\ud800", "a\0b"])
def test_refuses_a_credentials_file_that_no_file_can_be(tmp_path: Path, name: str) -> None:
    """A name with a lone surrogate or a zero byte is reported like a file that is missing."""
    found = problems(tmp_path, file={"MySQLTopologyCredentialsConfigFile": name})
    assert any(f'expected a file with user and password under [client], got "{name}"' in each for each in found)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = (
    st.sampled_from(["Debug", "Durability", "DurabilityParams", "ListenAddress", "InstancePollSeconds", *SEED])
    | st.text()
)


@given(st.one_of(st.text(), st.dictionaries(_NAMES, _JSON).map(json.dumps)))
def test_reads_any_file_without_failing(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """For any contents of the file the outcome is settings, or problems of one line each."""
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    content = read_file(ChosenFile(path, "json", path.name), {})
    assert all(len(line.splitlines()) == 1 for line in (*content.problems, *content.notes))


_TOO_LONG = "x" * 300
"""A name that cannot be looked at, as one in a folder that another user has closed."""


@pytest.mark.parametrize(
    ("flag", "problem"),
    [
        (f"--config-file={_TOO_LONG}.json", f"{_TOO_LONG}.json: cannot be read: File name too long"),
        (f"--config-path={_TOO_LONG}", f"no settings file can be looked for in {_TOO_LONG}: File name too long"),
    ],
)
def test_names_a_file_that_cannot_be_looked_at(tmp_path: Path, flag: str, problem: str) -> None:
    """A place that an operator named and vtorc may not search is refused with the reason."""
    (told,) = problems(tmp_path, flag)
    assert told.startswith(problem)


def test_does_without_default_files_in_a_folder_that_cannot_be_searched(tmp_path: Path) -> None:
    """Files that no operator named are left out, as in a shell of another user's home."""
    assert not loaded(tmp_path / _TOO_LONG).files
