"""What vtorc tells others, as the settings say it."""

from pathlib import Path

import pytest

from tests.unit.config.helpers import loaded
from tests.unit.control.test_webhook_observer import Clock
from vtorc.config.settings import Settings
from vtorc.errors import SettingsError
from vtorc.forms.webhook_state import WebhookForm
from vtorc.notifying import Notifying, webhook_options
from vtorc.recovery.hooks import Hook, NoHooks

URL = "https://alerts.example.com/vtorc?token=abc"


def notifying(settings: Settings) -> Notifying:
    """Return what these settings tell."""
    return Notifying(lambda: settings, Clock(), outbox="")


async def test_without_settings_nothing_is_told() -> None:
    """There is no observer, no hook and no process, and the state says that there is no webhook."""
    silent = notifying(Settings())
    assert (silent.observers, silent.hook_observers) == ([], [])
    assert isinstance(silent.pre_hooks, NoHooks)
    async with silent.running():
        assert silent.webhook == WebhookForm(
            url=None, dropped=0, sentence="there is no webhook: --webhook-url names one"
        )
    assert list(silent.metrics.metrics()) == []


def test_the_state_hides_what_may_be_a_secret_of_the_address() -> None:
    """A token in the query of the address is not shown."""
    assert notifying(Settings(webhook_url=URL)).webhook.url == "https://alerts.example.com/vtorc"


def test_hooks_come_from_their_settings() -> None:
    """Each key has its commands, and those that recoveries wait for are asked of the hooks."""
    settings = Settings(pre_failover_processes=("a", "b"), pre_graceful_takeover_processes=("c",))
    hooks = notifying(settings).pre_hooks
    assert [hooks.count(hook) for hook in (Hook.PRE_FAILOVER, Hook.PRE_GRACEFUL_TAKEOVER, Hook.POST_FAILOVER)] == [
        2,
        1,
        0,
    ]


def test_the_key_comes_from_its_file(tmp_path: Path) -> None:
    """White space around it does not count."""
    file = tmp_path / "key"
    file.write_text(" the key\n")
    options = webhook_options(Settings(webhook_url=URL, webhook_secret_file=str(file)))
    assert options is not None
    assert options.secret == "the key"


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_key_ends_the_start(tmp_path: Path, content: bytes | None) -> None:
    """The refusal names the setting and the file: unsigned events would be taken for vtorc's."""
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"--webhook-secret-file: expected a file with the key, got '.*/key'"):
        webhook_options(Settings(webhook_url=URL, webhook_secret_file=str(file)))


def test_authorities_that_cannot_be_read_end_the_start(tmp_path: Path) -> None:
    """The refusal names the setting and the file, be it missing or no PEM."""
    file = tmp_path / "ca.pem"
    for _ in ("missing", "no PEM"):
        with pytest.raises(SettingsError, match=r"--webhook-ca: expected a PEM file .*ca\.pem"):
            webhook_options(Settings(webhook_url=URL, webhook_ca=str(file)))
        file.write_text("no certificate")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("--webhook-url=ftp://x/", "an address such as https://"),
        ("--webhook-url=https://ann:secret@x/", "without a user and a password in it"),
        ("--webhook-url=https://x:99999/", "an address such as"),
        ("--webhook-events=recoveries", "words of recovery, problem, news, request"),
        ("--pre-hook-timeout=0s", "a duration above 0s"),
        ("--webhook-secret=x", "--webhook-secret"),
    ],
)
def test_wrong_settings_are_refused(tmp_path: Path, word: str, expected: str) -> None:
    """Each refusal says what was expected; the key of the signature is no flag, as others can read command lines."""
    with pytest.raises(SettingsError) as refused:
        loaded(tmp_path, word)
    assert expected in str(refused.value)
