"""Commands that deploy the pipeline on AWS: `aws deploy`, `aws settings`, `aws smoke`, `aws status`, `aws destroy`.

Belongs here: arguments, questions and printing. Does not belong here: what a step does (`deployment`).
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stock_assets.cli.interruption import Interrupted
from stock_assets.cli.output import print_grid, print_line, print_warning
from stock_assets.core.errors import DeploymentFailed
from stock_assets.core.text import plural
from stock_assets.deployment.forms import Extra, Form

if TYPE_CHECKING:
    from stock_assets.deployment.deployment import Deployment
    from stock_assets.deployment.stacks import Change
    from stock_assets.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Deploy the pipeline on AWS, test the deployment, and remove it.")

Name = Annotated[str, typer.Option(help="Name of the deployment; a second source needs a second name.")]
Region = Annotated[str, typer.Option(help="AWS region. Default: STOCK_ASSETS_AWS_REGION, or the region of boto3.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")]
_DEFAULT_NAME = "stock-assets"


@app.command()
def deploy(  # noqa: PLR0913 (each is an option of the command)
    *,
    name: Name = _DEFAULT_NAME,
    region: Region = "",
    source: Annotated[
        str, typer.Option(help="alpha_vantage or recorded. Default: what is deployed, or alpha_vantage.")
    ] = "",
    form: Annotated[
        Form | None,
        typer.Option(help="One instance, or Fargate with PostgreSQL. Default: what is deployed, or single."),
    ] = None,
    add: Annotated[list[Extra] | None, typer.Option(help="Also deploy this template; may be repeated.")] = None,
    universe: Annotated[
        list[Path] | None,
        typer.Option(help="CSV file of a universe with the file's name, which is kept; may be repeated."),
    ] = None,
    alert_email: Annotated[str, typer.Option(help="Address that receives alerts.")] = "",
    parameter: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE or TEMPLATE.NAME=VALUE of a parameter; may be repeated.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE of a setting of the pipeline, which is kept; NAME= removes it; may be repeated."),
    ] = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="Replace the stored API key.")] = False,
    yes: Yes = False,
) -> None:
    """Create or update the pipeline in your account. Repeat it after an interruption or an upgrade.

    The API key is read from standard input, if the deployment has none.
    """
    from stock_assets.deployment.account import has_key, store_key
    from stock_assets.deployment.deployment import Steps
    from stock_assets.deployment.templates import selection
    from stock_assets.deployment.universes import read_files

    files = read_files(universe or [])
    deployment = _deployment(name, region)
    given = _parameters("--parameter", parameter or []) | _given(source, alert_email)
    own = _settings(_parameters("--setting", setting or []))
    before = deployment.deployed()
    # What was added once is updated with the rest.
    selected = selection(deployment.form(form), [*(add or []), *(extra for extra in Extra if extra in before)])
    _print_plan(deployment, selected, before=set(before), paid=deployment.paid(selected, given))
    _confirm(f"Deploy to {deployment.access.region}?", yes=yes)

    def keep_or_store(secret: str) -> None:
        if new_key or not has_key(deployment.access, secret):
            store_key(deployment.access, secret, _read_key)
            print_line("The API key is stored.")

    def accepts(changes: "list[Change]") -> bool:
        lost = ", ".join(change.resource for change in changes if change.destroys)
        return yes or typer.confirm(f"This update deletes or replaces {lost}. Continue?", err=True)

    with _interruptible():
        known = deployment.deploy(selected, given, Steps(accepts, keep_or_store), own, files)
    _print_deployed(deployment, known)


@app.command()
def settings(
    *,
    name: Name = _DEFAULT_NAME,
    region: Region = "",
    file: Annotated[Path | None, typer.Option(help="Write them into this file instead.")] = None,
) -> None:
    """Print the settings of the deployment, one variable per line; none of them is a secret."""
    from stock_assets.deployment.artifacts import settings_text

    text = settings_text(_deployment(name, region).settings())
    if file is None:
        print_line(text.rstrip())
    else:
        file.write_text(text, encoding="utf-8")
        print_line(f"Written to {file}. In a shell: set -a; . {file.resolve()}; set +a")


@app.command()
def smoke(
    *,
    name: Name = _DEFAULT_NAME,
    region: Region = "",
    live: Annotated[
        bool, typer.Option("--live", help="Request one symbol from the vendor: at most two calls.")
    ] = False,
) -> None:
    """Test the deployment with one symbol, in its own folder and databases: request, publish, query, roll back."""
    from stock_assets.core.clock import utc_now
    from stock_assets.deployment.smoke import smoke as run_smoke
    from stock_assets.deployment.smoke import smoke_settings
    from stock_assets.pipeline import Pipeline
    from stock_assets.settings import SourceName

    deployed, own = _deployment(name, region).settings(), _own_settings()
    source = SourceName(deployed["STOCK_ASSETS_SOURCE"]) if live else SourceName.RECORDED
    done = run_smoke(Pipeline.from_settings(smoke_settings(deployed, own, source)), utc_now(), print_line)
    rows = [
        (run.query_id, run.statement, f"{run.seconds:.1f}", f"{run.scanned_bytes:,}", f"{run.cost or 0:.6f}")
        for run in done.statements
    ]
    print_grid(("Query", "Statement", "Seconds", "Bytes", "USD"), rows)
    read, cost = sum(run.scanned_bytes for run in done.statements), sum(run.cost or 0 for run in done.statements)
    print_line(
        f"{plural(len(rows), 'statement')} read {plural(read, 'byte')} and cost about {cost:.6f} USD. The test data "
        "are removed."
    )


@app.command()
def status(*, name: Name = _DEFAULT_NAME, region: Region = "") -> None:
    """Show the stacks of the deployment, their cost, and who receives alerts; exit code 1 if one is not complete."""
    from stock_assets.deployment.costs import monthly_usd
    from stock_assets.deployment.stacks import is_complete

    deployment = _deployment(name, region)
    stacks = deployment.deployed()
    if not stacks:
        print_line(f"Nothing is deployed under the name {name} in {deployment.access.region}.")
        raise typer.Exit(code=1)
    rows = [
        (stack.name, stack.status, f"{monthly_usd(deployment.paid([template], {})):.2f}")
        for template, stack in stacks.items()
    ]
    print_grid(("Stack", "Status", "USD a month"), rows)
    known = {key: value for stack in stacks.values() for key, value in stack.outputs.items()}
    _print_alerts(deployment, known)
    _print_universes(deployment)
    if not all(is_complete(stack) for stack in stacks.values()):
        print_warning("Not every stack is complete. `stock-assets aws deploy` continues where it stopped.")
        raise typer.Exit(code=1)


@app.command()
def destroy(*, name: Name = _DEFAULT_NAME, region: Region = "", yes: Yes = False) -> None:
    """Delete the stacks of the deployment. The data stay; the command names them and how to remove them."""
    deployment = _deployment(name, region)
    stacks = deployment.deployed()
    if not stacks:
        print_line(f"Nothing is deployed under the name {name} in {deployment.access.region}.")
        return
    kept = deployment.kept()
    print_grid(("Deleted", "Status"), [(stack.name, stack.status) for stack in reversed(stacks.values())])
    print_grid(("Kept", "To remove or find it"), [(item.what, item.command) for item in kept])
    _confirm(f"Delete {plural(len(stacks), 'stack')} in {deployment.access.region}?", yes=yes)
    with _interruptible():
        deployment.destroy()
    bucket = next((stack.outputs["Bucket"] for stack in stacks.values() if "Bucket" in stack.outputs), "")
    if bucket:
        print_line(f"To deploy again with the same data: stock-assets aws deploy --parameter ExistingBucket={bucket}")


@contextmanager
def _interruptible() -> Iterator[None]:
    """If the command is interrupted, print how to continue it."""
    try:
        yield
    except Interrupted:
        raise Interrupted(
            "Interrupted. CloudFormation finishes the current stack; run the command again to continue."
        ) from None


def _deployment(name: str, region: str) -> "Deployment":
    import boto3

    from stock_assets.backends.lakehouse.aws_session import AwsAccess
    from stock_assets.deployment.deployment import Deployment
    from stock_assets.deployment.stacks import Stacks
    from stock_assets.deployment.templates import read_templates

    settings = _own_settings()
    chosen = region or settings.aws_region or boto3.Session().region_name
    if not chosen:
        raise DeploymentFailed("No AWS region is chosen. Set --region or STOCK_ASSETS_AWS_REGION.")
    access = AwsAccess(
        region=chosen,
        role_arn=settings.aws_role_arn or "",
        endpoint_url=str(settings.aws_endpoint_url or "").rstrip("/"),
    )
    poll = 0.2 if settings.aws_endpoint_url else 3.0
    return Deployment(name, read_templates(), Stacks(access, _print_progress, poll_seconds=poll))


def _print_progress(line: str) -> None:
    print_line(f"{datetime.now(UTC):%H:%M:%S} {line}")


def _print_plan(deployment: "Deployment", selected: list[str], *, before: set[str], paid: list[str]) -> None:
    from stock_assets.deployment.costs import PRICES_OF, items_of, monthly_usd

    plan = [
        (f"{deployment.name}-{name}", "update" if name in before else "create", deployment.templates[name].counted())
        for name in selected
    ]
    print_grid(("Stack", "", "Resources"), plan)
    costs = [
        (f"{item.service}: {item.what}", f"{item.quantity:g} {item.unit}", f"{item.usd:.2f}") for item in items_of(paid)
    ]
    print_grid(("Costs", "a month", "USD"), [*costs, ("Sum", PRICES_OF, f"{monthly_usd(paid):.2f}")])


def _print_deployed(deployment: "Deployment", known: dict[str, str]) -> None:
    _print_alerts(deployment, known)
    _print_universes(deployment)
    for output in ("OpenUi", "Url"):
        if output in known:
            print_line(f"The Dagster UI: {known[output]}")
    print_line("Deployed. To test it: stock-assets aws smoke. To load sessions from here: stock-assets aws settings.")


def _print_alerts(deployment: "Deployment", known: dict[str, str]) -> None:
    from stock_assets.deployment.account import subscriptions

    if "AlertTopicArn" not in known:
        return
    found = subscriptions(deployment.access, known["AlertTopicArn"])
    for address, confirmed in found:
        print_line(f"Alerts: {address}" + ("" if confirmed else " (its owner has to confirm the message of AWS)"))
    if not found:
        print_warning("Nobody receives alerts. Deploy again with --alert-email ADDRESS.")


def _print_universes(deployment: "Deployment") -> None:
    from stock_assets.deployment.universes import SETTING

    if "data" in deployment.deployed() and (names := deployment.settings().get(SETTING)):
        print_line(f"Universes: {', '.join(names.split(','))}")


def _own_settings() -> "Settings":
    """Return the settings of the environment; the commands concern all universes."""
    from stock_assets.settings import Settings

    return Settings.all_from_env()[0]


def _given(source: str, alert_email: str) -> dict[str, str]:
    """Return the values of parameters that options and settings give.

    A default is left out: it is also the default of the template, and must not replace what an earlier command has
    given.
    """
    from stock_assets.settings import SourceName

    if source and source not in set(SourceName):
        raise typer.BadParameter(f"--source {source}: choose {' or '.join(SourceName)}.")
    settings = _own_settings()
    values = {"Source": source, "AlertEmail": alert_email}
    for name, field in (("Prefix", "aws_prefix"), ("Database", "aws_database"), ("KmsKeyArn", "aws_kms_key")):
        if field in settings.model_fields_set:
            values[name] = getattr(settings, field) or ""
    return {name: value for name, value in values.items() if value}


def _settings(own: dict[str, str]) -> dict[str, str]:
    """Check settings as the pipeline will, so that none of them keeps it from starting."""
    from pydantic import ValidationError

    from stock_assets.settings import Settings, environment_variable

    fields = {environment_variable(name): name for name in Settings.model_fields}
    for name, value in own.items():
        if name not in fields:
            raise typer.BadParameter(f"--setting {name}: there is no such setting; docs/settings.md lists them.")
        if "SecretStr" in str(Settings.model_fields[fields[name]].annotation):
            raise typer.BadParameter(
                f"--setting {name}: the value is a secret, and settings are readable in the bucket. Use "
                "--alert-email, or a topic of SNS."
            )
        if not re.fullmatch(r"[\w.,:/@%+=~-]*", value):
            # The file is read by systemd, ECS and shells, which quote differently.
            raise typer.BadParameter(f"--setting {name}: only letters, digits and .,:/@%+=~_- are possible.")
        if value:
            try:
                Settings.model_validate({Settings.model_fields[fields[name]].validation_alias or fields[name]: value})
            except ValidationError as error:
                raise typer.BadParameter(f"--setting {name}={value}: {error.errors()[0]['msg']}.") from None
    return own


def _parameters(option: str, pairs: list[str]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise typer.BadParameter(f"{option} {pair}: write NAME=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)


def _confirm(question: str, *, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise DeploymentFailed("Standard input is no terminal, so nobody can confirm. Add --yes.")
    typer.confirm(question, abort=True, err=True)


def _read_key() -> str:
    """Read the API key without an echo; it is no argument, because arguments are visible to other processes."""
    if not sys.stdin.isatty():
        return sys.stdin.readline()
    from getpass import getpass

    return getpass("API key of the price source (not shown): ")
