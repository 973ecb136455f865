"""The settings that choose the settings file; they come from flags and the environment only."""

from dataclasses import dataclass

from vtorc.config.kinds import TEXT, WORDS, choice
from vtorc.config.setting import setting, variable


@dataclass(frozen=True, kw_only=True)
class FileSettings:
    """Settings file"""

    config: str = setting(
        TEXT,
        "",
        "JSON settings file as in Vitess v11 to v21. Without it and --config-file, vtorc reads "
        "/etc/orchestrator.conf.json, conf/orchestrator.conf.json and orchestrator.conf.json as far as they exist, "
        "then the file that --config-path and --config-name find. A later file takes precedence over an earlier one.",
        bootstrap=True,
    )
    config_file: str = setting(
        TEXT,
        "",
        "JSON or TOML settings file, by its extension.",
        also=[variable("VT_CONFIG_FILE", TEXT)],
        bootstrap=True,
    )
    config_path: tuple[str, ...] = setting(
        WORDS,
        (".",),
        "Folders that are searched for a settings file; the first file found is read.",
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
        "Format of the settings file, if its extension does not name it.",
        also=[variable("VT_CONFIG_TYPE", choice("json", "toml", default=""))],
        bootstrap=True,
    )
    config_file_not_found_handling: str = setting(
        choice("ignore", "warn", "error", "exit"),
        "warn",
        "Action if there is no settings file for --config-file, --config-path or --config-name: start without it "
        "(ignore), start with a warning (warn), or refuse to start (error, exit). A missing -config file always "
        "refuses the start.",
        bootstrap=True,
    )
