"""The settings of what vtorc tells others: the webhook, and the operator's commands."""

from dataclasses import dataclass

from vtorc.config.kinds import DURATION, POSITIVE_DURATION, TEXT, choice
from vtorc.config.notify_kinds import EVENT_KINDS, commands, event_kinds, webhook_url
from vtorc.config.setting import key, setting


@dataclass(frozen=True, kw_only=True)
class NotifySettings:
    """Webhook, traces and hooks"""

    webhook_url: str = setting(
        webhook_url(), "", "Address to which events are sent as JSON with POST, http or https; empty for none."
    )
    webhook_secret: str = setting(
        TEXT, "", "Key of the HMAC-SHA256 with which each event is signed; empty for no signature.", secret=True
    )
    webhook_secret_file: str = setting(TEXT, "", "File with that key, in place of --webhook-secret in the file.")
    webhook_ca: str = setting(
        TEXT, "", "PEM file of the authorities of an https receiver; empty for those that the host trusts."
    )
    webhook_events: tuple[str, ...] = setting(
        event_kinds(),
        EVENT_KINDS,
        "Which events are sent: recovery (one that ended), problem (a decision about one, and its end), news (about "
        "the whole fleet), request (of an operator).",
    )
    webhook_retry_for: float = setting(
        DURATION,
        3600.0,
        "Time after an event for which vtorc tries to deliver it; then it is a dead letter, listed at /api/v1/webhook.",
    )
    tracer: str = setting(
        choice("noop", "opentelemetry", "opentracing-jaeger", "opentracing-datadog", default="noop"),
        "noop",
        "Whether recoveries are exported as traces over OTLP: noop for no. Any other value exports them, as the agents "
        "of Jaeger and Datadog take OTLP too. It needs the package's extra `tracing`.",
    )
    processes_shell_command: str = setting(
        TEXT,
        "bash",
        "Program that runs the commands of the hooks below; it gets a file with the command.",
        also=[key("ProcessesShellCommand", TEXT)],
    )
    on_failure_detection_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run when a problem is proven, once for each; no recovery waits for them, unlike in v12.",
        also=[key("OnFailureDetectionProcesses", commands())],
    )
    pre_graceful_takeover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run before a planned reparent changes anything; the first that fails refuses it.",
        also=[key("PreGracefulTakeoverProcesses", commands())],
    )
    pre_failover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run before a primary is replaced; the first that fails refuses that. Each adds its duration to "
        "the outage.",
        also=[key("PreFailoverProcesses", commands())],
    )
    post_primary_failover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run after a primary was replaced.",
        also=[key("PostPrimaryFailoverProcesses", commands()), key("PostMasterFailoverProcesses", commands())],
    )
    post_failover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run after a tablet was promoted, also as the first primary.",
        also=[key("PostFailoverProcesses", commands())],
    )
    post_unsuccessful_failover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run after a replacement of a primary failed or was refused; the same failure again runs none.",
        also=[key("PostUnsuccessfulFailoverProcesses", commands())],
    )
    post_graceful_takeover_processes: tuple[str, ...] = setting(
        commands(),
        (),
        "Commands that run after a planned reparent.",
        also=[key("PostGracefulTakeoverProcesses", commands())],
    )
    pre_hook_timeout: float = setting(
        POSITIVE_DURATION,
        10.0,
        "Longest run of a command before a failover or planned reparent; it is then ended, and counts as failed.",
        live=True,
    )
    hook_timeout: float = setting(
        POSITIVE_DURATION, 300.0, "Longest run of any other command of a hook; it is then ended.", live=True
    )
