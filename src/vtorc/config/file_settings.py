"""The settings that say which settings file is read; they come from flags and the environment only."""

from dataclasses import dataclass

from vtorc.config.kinds import TEXT, WORDS, choice
from vtorc.config.setting import setting, variable


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """Which settings file is read"""

    config: str = setting(
        TEXT,
        "",
        "JSON file of settings, as Vitess v11 to v21 have it. With neither this nor --config-file, those of "
        "/etc/orchestrator.conf.json, conf/orchestrator.conf.json and orchestrator.conf.json that exist are read, "
        "later over earlier, then what --config-path and --config-name find.",
        bootstrap=True,
    )
    config_file: str = setting(
        TEXT,
        "",
        "JSON or TOML file of settings, by its extension.",
        also=[variable("VT_CONFIG_FILE", TEXT)],
        bootstrap=True,
    )
    config_path: tuple[str, ...] = setting(
        WORDS,
        (".",),
        "Folders that are searched for a settings file; the first one found is read.",
        also=[variable("VT_CONFIG_PATH", WORDS)],
        bootstrap=True,
    )
    config_name: str = setting(
        TEXT,
        "vtconfig",
        "Name, without extension, of the settings file that is searched for.",
        also=[variable("VT_CONFIG_NAME", TEXT)],
        bootstrap=True,
    )
    config_type: str = setting(
        choice("json", "toml", default=""),
        "",
        "Format of the settings file, where its extension does not say.",
        also=[variable("VT_CONFIG_TYPE", choice("json", "toml", default=""))],
        bootstrap=True,
    )
    config_file_not_found_handling: str = setting(
        choice("ignore", "warn", "error", "exit"),
        "warn",
        "What to do when a settings file that --config-file, --config-path or --config-name asks for does not exist: "
        "go on, go on and say so, or refuse to start. A missing -config file is always refused.",
        bootstrap=True,
    )
