"""`tidegate notifier` and `tidegate notify`: the process that tells people, a test of it, and what it told."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidegate.cli.output import FAILED, OK, JsonFlag, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.domain.channel import ChannelRef
    from tidegate.domain.deliveries import Delivery
    from tidegate.notifying import Notifications

app = typer.Typer(
    help="Notifications: test a channel, see what was told, send again. What is told: docs/notifications.md.",
    no_args_is_help=True,
)

ChannelArgument = Annotated[
    str | None, typer.Argument(metavar="[ORG/CHANNEL]", help="A channel, for example swaggystacks/on-call.")
]


def notifier() -> None:
    """Tell people: empty the outbox until Ctrl-C or SIGTERM.

    `tidegate up` runs one already. Any number of them may run, on several machines: no message is sent twice.
    A change of an organization's file counts at once.

    Examples:

      tidegate notifier
    """
    from tidegate.cli.agents import log_to_stdout, stopping_loop
    from tidegate.notifying import run_notifier
    from tidegate.settings import load_settings

    log_to_stdout()
    settings = load_settings()
    with stopping_loop(settings, "notifier") as stop:
        run_notifier(settings, stop)


@app.command("test")
def try_channels(
    channel: ChannelArgument = None,
    every: Annotated[bool, typer.Option("--all", help="Every channel of every organization.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send a test message now, past quiet hours and limits, and say what the channel answered.

    Exit code: 0 when every channel took it, else 1.

    Examples:

      tidegate notify test swaggystacks/on-call

      tidegate notify test --all --json
    """
    from tidegate import notifying

    with notifying.load() as found:
        told = [_row(_try(found, ref)) for ref in _chosen(found, channel, every=every)]
    if as_json:
        print_json(told)
    elif told:
        for row in told:
            mark = "[green]told[/green]  " if row["state"] == "sent" else "[red]failed[/red]"
            say(f"{mark} {escape(row['to'])}  {escape(row['error'] or row['receipt'])}")
    else:
        say("No organization has a channel: see `notifications` in docs/notifications.md.")
    raise typer.Exit(OK if all(row["state"] == "sent" for row in told) else FAILED)


@app.command()
def channels(as_json: JsonFlag = False) -> None:
    """List the channels, what each is told and when. Addresses are secrets and are not shown.

    Examples:

      tidegate notify channels
    """
    from tidegate import notifying

    with notifying.load() as found:
        rows = [
            {
                "channel": f"{org.name}/{name}",
                "kind": one.kind,
                "from_severity": one.min_severity.value,
                "events": "all" if len(one.events) > _ALL_BUT_TESTS else ", ".join(one.events),
                "services": ", ".join(one.services),
                "quiet": f"{one.quiet_hours.start:%H:%M}-{one.quiet_hours.end:%H:%M} {one.quiet_hours.timezone}"
                if one.quiet_hours
                else "-",
                "installation": "yes" if one.installation else "no",
            }
            for org in found.organizations().values()
            for name, one in org.notifications.items()
        ]
    if as_json:
        print_json(rows)
    else:
        columns = ("channel", "kind", "from_severity", "events", "services", "quiet", "installation")
        print_table(columns, [[escape(row[column]) for column in columns] for row in rows])


@app.command()
def history(
    channel: ChannelArgument = None,
    state: Annotated[
        str | None,
        typer.Option(help="Only those that are: waiting, claimed, sending, sent, dead, unconfirmed."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Newest messages.")] = 30,
    as_json: JsonFlag = False,
) -> None:
    """Show which messages were sent to whom, how long each took, and what failed. Newest first.

    Examples:

      tidegate notify history

      tidegate notify history swaggystacks/on-call --state dead --json
    """
    from tidegate import notifying
    from tidegate.domain.channel import ChannelRef

    wanted = _state(state) if state else None
    ref = ChannelRef.parse(channel) if channel else None
    with notifying.load() as found:
        rows = [
            _row(one)
            for one in found.ledger.deliveries(
                org=ref.org if ref else None, channel=ref.name if ref else None, state=wanted, limit=limit
            )
        ]
    if as_json:
        print_json(rows)
        return
    columns = ("id", "happened", "to", "severity", "state", "tries", "seconds", "title", "error")
    print_table(columns, [["-" if row[one] is None else escape(row[one]) for one in columns] for row in rows])


@app.command()
def retry(
    message: Annotated[
        str, typer.Argument(metavar="ID", help="Of `tidegate notify history`, or its beginning.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Send a message now that was given up, that waits for its next try, or of which nobody knows whether it arrived.

    It goes out as its same self at the notifier's next look.

    Examples:

      tidegate notify retry n-3f2a9c
    """
    from tidegate import notifying

    with notifying.load() as found:
        row = _row(found.ledger.retry_delivery(message))
    if as_json:
        print_json(row)
    else:
        say(f"{escape(row['id'])} to {escape(row['to'])} is sent again.")


@app.command()
def key(
    channel: Annotated[str, typer.Argument(metavar="ORG/CHANNEL", help="A channel of kind webhook.")],
    as_json: JsonFlag = False,
) -> None:
    """Print the key that signs what a webhook gets, for its receiver. It is made when there is none.

    Examples:

      tidegate notify key swaggystacks/deploy-bot
    """
    import os

    from tidegate import notifying
    from tidegate.access import SecretStore, webhook_key_name
    from tidegate.domain import InvalidInput
    from tidegate.domain.channel import ChannelRef
    from tidegate.settings import load_settings

    ref = ChannelRef.parse(channel)
    with notifying.load() as found:
        configured = found.courier.channel(_known(found, ref))
    assert configured is not None, "it is known"
    if configured.kind != "webhook":
        raise InvalidInput(
            f"{ref} is of kind {configured.kind}: nothing is signed.",
            remedy="Name a channel of kind webhook: tidegate notify channels.",
            field="channel",
        )
    store = SecretStore(load_settings().secrets_dir, os.environ)
    value = store.ensure(configured.signing_key or webhook_key_name(ref.org, ref.name))
    if as_json:
        print_json({"channel": str(ref), "value": value.reveal()})
    else:
        sys.stdout.write(value.reveal() + "\n")


_ALL_BUT_TESTS = 10


def _chosen(found: "Notifications", channel: str | None, *, every: bool) -> "list[ChannelRef]":
    from tidegate.domain import InvalidInput
    from tidegate.domain.channel import ChannelRef

    if every == (channel is not None):
        raise InvalidInput(
            "Name one channel, or give --all.",
            remedy="For example: tidegate notify test swaggystacks/on-call.",
            field="channel",
        )
    if channel is not None:
        return [_known(found, ChannelRef.parse(channel))]
    return [
        ChannelRef(org.name, name) for org in found.organizations().values() for name in org.notifications
    ]


def _known(found: "Notifications", ref: "ChannelRef") -> "ChannelRef":
    from tidegate.domain import NotFound

    if found.courier.channel(ref) is None:
        raise NotFound(
            f"There is no channel {ref}.", remedy="List them: tidegate notify channels.", field="channel"
        )
    return ref


def _try(found: "Notifications", ref: "ChannelRef") -> "Delivery":
    """Through the same rows and senders as everything else, so that history shows it too."""
    from datetime import UTC, datetime

    from tidegate.cli.connect import current_user
    from tidegate.observability.notifications import try_channel

    channel = found.courier.channel(ref)
    assert channel is not None, "it is known"
    return try_channel(found.ledger, found.courier, ref, channel, current_user(), datetime.now(UTC))


def _state(text: str) -> Any:
    from tidegate.domain import InvalidInput
    from tidegate.domain.deliveries import DeliveryState

    if text not in list(DeliveryState):
        raise InvalidInput(
            f"'{text}' is no state of a message.",
            remedy=f"Use one of: {', '.join(DeliveryState)}.",
            field="state",
        )
    return DeliveryState(text)


def _row(one: "Delivery") -> dict[str, Any]:
    """The same for people and programs. Titles hold what models and people said."""
    from tidegate.domain.plain import plain

    return {
        "id": one.id,
        "to": str(one.ref),
        "kind": one.channel_kind,
        "severity": one.severity.value,
        "state": one.state.value,
        "title": plain(one.title),
        "events": one.events,
        "tries": one.attempts,
        "happened": one.event_at.isoformat(timespec="milliseconds"),
        "sent_from": one.sending_at.isoformat(timespec="milliseconds") if one.sending_at else None,
        "ended": one.ended_at.isoformat(timespec="milliseconds") if one.ended_at else None,
        "seconds": None if one.delay_s is None else round(one.delay_s, 3),
        "next_try": one.not_before.isoformat(timespec="milliseconds")
        if one.state.value == "waiting"
        else None,
        "error": plain(one.error),
        "receipt": plain(one.receipt),
    }
