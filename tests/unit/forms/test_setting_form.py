"""The form of a setting."""

from pathlib import Path

from tests.unit.config.helpers import TOPO, write
from vtorc.config.load import Loaded, load
from vtorc.config.settings import Settings
from vtorc.config.store import SettingsStore
from vtorc.forms.frames import SettingsFrame, decode_frame, encode
from vtorc.forms.running_settings import LiveSettingForms, setting_forms


def test_a_setting_tells_its_value_and_where_that_comes_from(tmp_path: Path) -> None:
    """Durations are in seconds, and lists stay lists."""
    write(tmp_path, {"InstancePollSeconds": 7})
    loaded = load([*TOPO, "-config=orc_config.json", "--clusters-to-watch=a,b/-80"], {}, folder=tmp_path)
    forms = {form.name: form for form in setting_forms(loaded.settings, loaded.sources)}
    poll, watched = forms["instance-poll-time"], forms["clusters-to-watch"]
    assert (poll.value, poll.shown, poll.source, poll.live) == (
        7.0,
        "7s",
        'key "InstancePollSeconds" of orc_config.json',
        True,
    )
    assert (watched.value, watched.source) == (["a", "b/-80"], "flag --clusters-to-watch")


def test_a_secret_never_leaves_vtorc() -> None:
    """Its form only tells whether it is set."""
    loaded = Loaded(settings=Settings(mysql_topology_password="geheim"))
    forms = setting_forms(loaded.settings, loaded.sources)
    sent = encode(SettingsFrame(settings=list(forms)))
    assert b"geheim" not in sent
    secret = next(form for form in forms if form.name == "mysql-topology-password")
    assert (secret.value, secret.shown) == (None, "***")
    assert decode_frame(sent) == SettingsFrame(settings=list(forms))


def test_the_forms_follow_a_reload(tmp_path: Path) -> None:
    """They are made anew only after one that changed a setting."""
    write(tmp_path, {"InstancePollSeconds": 5})
    store = SettingsStore(lambda: load([*TOPO, "-config=orc_config.json"], {}, folder=tmp_path))
    live = LiveSettingForms(store)
    before = live()
    assert live() is before
    write(tmp_path, {"InstancePollSeconds": 9})
    store.adopt(store.read_again())
    after = {form.name: form.value for form in live()}
    assert after["instance-poll-time"] == 9.0
