"""`tidegate policy`: what holds for a service, what is wrong in a file, and what a file would have changed."""

from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidegate.cli.output import BAD_INPUT, FAILED, JsonFlag, escape, print_json, print_table, say

if TYPE_CHECKING:
    from tidegate.access import Problem
    from tidegate.domain import Policy, ServiceRef
    from tidegate.quality import Bank
    from tidegate.settings import Settings
    from tidegate.steps.policy_advice import Advice
    from tidegate.steps.replay import Effect

app = typer.Typer(help="Policies: show, check, replay on past releases.", no_args_is_help=True)
Service = Annotated[str, typer.Argument(metavar="ORG/SERVICE", help="For example swaggystacks/support-chat.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy file.")]


@app.command()
def show(
    service: Service,
    changed: Annotated[bool, typer.Option("--changed", help="Only values that a file sets.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the effective policy of a service, and where each value comes from.

    Examples:

      tidegate policy show swaggystacks/support-chat

      tidegate policy show swaggystacks/support-chat --changed
    """
    from tidegate.access import policy_values
    from tidegate.access.policy_files import BUILT_IN
    from tidegate.domain import ServiceRef
    from tidegate.settings import load_settings

    ref, settings = ServiceRef.parse(service), load_settings()
    _known_service(settings, ref)
    organization, policy = _files(settings, ref.org)
    effective, values = policy_values(organization, policy, ref)
    shown = [one for one in values if not changed or one.source != BUILT_IN]
    if as_json:
        rows = [{"field": one.field, "value": one.value, "source": one.source} for one in shown]
        print_json({"service": str(ref), "digest": effective.digest, "values": rows})
        return
    print_table(
        ("VALUE", "IS", "FROM"),
        [(escape(one.field), escape(_as_text(one.value)), _dimmed(one.source, BUILT_IN)) for one in shown],
    )


@app.command()
def check(
    file: File,
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Whose bank and slots to look at.")
    ] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Check a policy file: errors with field, line and remedy, and what it could never decide.

    Exit code: 0 sound, 1 warnings with --strict, 2 errors.

    Examples:

      tidegate policy check deployments/policies/swaggystacks.yaml

      tidegate policy check new.yaml --service swaggystacks/support-chat --strict
    """
    from tidegate.access import policy_problems

    problems = policy_problems(file)
    advice = [] if problems else _advice(file, service)
    if as_json:
        print_json(_checked_data(file, problems, advice))
    else:
        _say_checked(file, problems, advice)
    if problems:
        raise typer.Exit(BAD_INPUT)
    if advice and strict:
        raise typer.Exit(FAILED)


@app.command()
def replay(
    file: File,
    service: Annotated[
        str, typer.Option("--service", metavar="ORG/SERVICE", help="Only releases of this service.")
    ] = "",
    since: Annotated[
        str, typer.Option(metavar="DAYS|DATE", help="Only newer ones: 30, or 2026-11-01. Default: all.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Judge past releases again, as if this file had been their organization's policy. Changes nothing.

    The services' own overrides hold over it, as they do over the real one. Exit code: 0 every release ends as it did,
    1 some would not, 2 bad input.

    Examples:

      tidegate policy replay stricter.yaml --service swaggystacks/support-chat --since 30
    """
    from tidegate import wiring
    from tidegate.access import policy_under
    from tidegate.cli.output import as_data
    from tidegate.domain import ServiceRef
    from tidegate.steps.replay import effect_of, past_releases

    ref = ServiceRef.parse(service) if service else None
    ports = wiring.load()
    if ref is not None:
        ports.service(ref)

    def policy_of(asked: "ServiceRef") -> "Policy":
        return policy_under(_files(ports.settings, asked.org)[0], file, asked.service)

    begin = _since(since, ports.clock())
    # Read once even without releases: a file that is wrong must say so.
    _refuse_problems(file)
    effect = effect_of(past_releases(ports, ref, begin), policy_of)
    if as_json:
        from dataclasses import asdict

        rows = [{**asdict(one), "is_changed": one.is_changed} for one in effect.releases]
        print_json({"file": str(file), "summary": effect.summary, "releases": as_data(rows)})
    else:
        _say_effect(effect)
    if any(one.is_changed for one in effect.releases):
        raise typer.Exit(FAILED)


def _refuse_problems(file: Path) -> None:
    """Raises: InvalidInput, NotFound."""
    from tidegate.access import policy_problems
    from tidegate.domain import InvalidInput

    for first in policy_problems(file):
        raise InvalidInput(str(first), remedy=first.remedy, field=first.field)


def _advice(file: Path, service: str) -> "list[Advice]":
    from tidegate.access import is_flat, policy_under, read_policy
    from tidegate.domain import ServiceRef
    from tidegate.settings import load_settings
    from tidegate.steps.policy_advice import Advice, advice_on

    settings = load_settings()
    if service:
        ref = ServiceRef.parse(service)
        slots: int | None = _known_service(settings, ref)
        policy = policy_under(_files(settings, ref.org)[0], file, ref.service)
    else:
        policy, slots = read_policy(file), None
    found = advice_on(policy, _bank(settings, policy), slots)
    if is_flat(file):
        rewrite = "Write metrics, limits and design: see deployments/policies/swaggystacks.yaml."
        found.insert(0, Advice("performance", "it is written in its flat form", rewrite))
    return found


def _bank(settings: "Settings", policy: "Policy") -> "Bank | None":
    """The bank that it names, where this installation has it."""
    from tidegate.domain import NotFound
    from tidegate.quality import find_bank, read_bank

    try:
        return read_bank(find_bank(settings.banks_dir, policy.quality.bank))
    except NotFound:
        return None


def _known_service(settings: "Settings", ref: "ServiceRef") -> int:
    """Slots of one set of it. Raises: NotFound."""
    from tidegate.access import load_organizations
    from tidegate.domain import NotFound

    organizations = load_organizations(settings.organizations_dir, settings.policies_dir)
    if ref.org not in organizations:
        raise NotFound(
            f"There is no organization '{ref.org}'.",
            remedy=f"Use one of: {', '.join(sorted(organizations))}.",
            field="org",
        )
    return organizations[ref.org].service(ref).parallel


def _files(settings: "Settings", org: str) -> tuple[Path, Path]:
    return settings.organizations_dir / f"{org}.yaml", settings.policies_dir / f"{org}.yaml"


def _since(text: str, now: datetime) -> datetime | None:
    """A number of days, or a date. Raises: InvalidInput."""
    from datetime import UTC, timedelta

    from tidegate.domain import InvalidInput

    if not text:
        return None
    days = text.removesuffix("d")
    try:
        if days.isdigit():
            return now - timedelta(days=int(days))
        begin = datetime.fromisoformat(text)
        return begin if begin.tzinfo is not None else begin.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidInput(
            f"'{text}' is neither a number of days nor a date.",
            remedy="For example --since 30, or --since 2026-11-01.",
            field="since",
        ) from None


def _checked_data(file: Path, problems: "list[Problem]", advice: "list[Advice]") -> object:
    from dataclasses import asdict

    return {
        "file": str(file),
        "is_sound": not problems,
        "errors": [asdict(one) for one in problems],
        "warnings": [asdict(one) for one in advice],
    }


def _say_checked(file: Path, problems: "list[Problem]", advice: "list[Advice]") -> None:
    for one in problems:
        say(f"[red]error[/red]   {escape(one)}")
        say(f"        [dim]{escape(one.remedy)}[/dim]")
    for one in advice:
        say(f"[yellow]warning[/yellow] {escape(one.field)}: {escape(one.message)}.")
        say(f"        [dim]{escape(one.remedy)}[/dim]")
    if not problems:
        counted = f", {len(advice)} warnings" if advice else ""
        say(f"{escape(file)} is sound{counted}.")


def _say_effect(effect: "Effect") -> None:
    rows = [
        (
            one.release_id,
            one.service,
            escape(one.model),
            one.then,
            f"[bold]{one.now}[/bold]" if one.is_changed else one.now,
            escape("; ".join(f"{change.check}: {change.then} -> {change.now}" for change in one.changes)),
        )
        for one in effect.releases
    ]
    if rows:
        print_table(("RELEASE", "SERVICE", "MODEL", "THEN", "NOW", "WHICH CHECK CHANGED"), rows)
        say("")
    for one in effect.releases:
        for change in one.changes if one.is_changed else ():
            say(f"{one.release_id}: {escape(change.summary)}")
    for note, number in Counter(note for one in effect.releases for note in one.not_judged_again).items():
        say(f"[dim]not judged again in {number} of {len(effect.releases)}: {escape(note)}[/dim]")
    say(escape(effect.summary))


def _as_text(value: object) -> str:
    import json

    return "null" if value is None else value if isinstance(value, str) else json.dumps(value)


def _dimmed(source: str, built_in: str) -> str:
    return f"[dim]{source}[/dim]" if source == built_in else escape(source)
