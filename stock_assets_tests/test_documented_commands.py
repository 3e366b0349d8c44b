"""Every command in README and docs is parsed as its program does; `test_documented_scripts` runs the scripts.

`stock-assets` parses its own commands, botocore knows the calls of the AWS command line, and services and build
arguments of Docker are those of compose.yaml and Dockerfile.
"""

import re
import shlex
import stat
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import botocore.session
import pytest
import typer
import yaml
from botocore import xform_name

from stock_assets.cli.app import app
from stock_assets.deployment.deployment import HOW_TO_REMOVE
from stock_assets.deployment.templates import read_templates

PROJECT = Path(__file__).parents[1]
_DEPLOY = PROJECT / "docs" / "deploy.md"
PAGES = [
    *(path for path in sorted(PROJECT.glob("*.md")) if path.name != "CHANGELOG.md"),
    *sorted((PROJECT / "docs").glob("*.md")),
    PROJECT / "infra" / "aws" / "README.md",
]
PROGRAMS = ("aws", "docker", "git", "make", "openssl", "pip", "ssh", "stock-assets")
_VALUES = {"FIRST": "2013-02-25", "LAST": "2013-03-01", "SNAPSHOT": "1"}
"""Values for words that stand for one."""
_S3 = {"cp", "ls", "rb", "rm", "sync"}
_FILES = {"--template-file"}
_CUSTOM = {
    ("cloudformation", "deploy"): {"--stack-name", "--template-file", "--parameter-overrides", "--capabilities"},
    ("ecr", "get-login-password"): set[str](),
}
"""Commands of the AWS command line that are no call of an API."""
_EVERYWHERE = {"--query", "--output", "--region", "--profile"}


def blocks(page: Path) -> list[str]:
    """Return the shell scripts of a page."""
    found = re.findall(r"^( *)```sh\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", script, flags=re.MULTILINE) for indent, script in found]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command of a page: of its scripts, and of its code in lines."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    inline = [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", text)]
    scripts = [re.sub(r"<<END.*?^END$", "", script, flags=re.MULTILINE | re.DOTALL) for script in blocks(page)]
    for line in [*inline, *"\n".join(scripts).replace("\\\n", " ").splitlines()]:
        program, _, arguments = line.partition(" ")
        # `aws deploy` in a table is the name of a command of `stock-assets`.
        if program in PROGRAMS and arguments and not (program == "aws" and " " not in arguments):
            for one in re.sub(r" [<>] *[\w.]+\.(txt|csv)(?=$| +#)", "", line).split(" | "):
                yield shlex.split(one, comments=True)


COMMANDS = sorted({shlex.join(words) for page in PAGES for words in commands(page)})
KEPT = [text.format(name="name") for text in HOW_TO_REMOVE.values()]
OPEN_UI = [
    outputs["OpenUi"]["Value"]["Fn::Sub"]
    for template in read_templates().values()
    if "OpenUi" in (outputs := template.content["Outputs"])
]


def of(program: str) -> list[str]:
    """Return the commands of a program."""
    return [command for command in COMMANDS if shlex.split(command)[0] == program]


def test_the_pages_show_commands_of_every_kind() -> None:
    assert {shlex.split(command)[0] for command in COMMANDS} >= {"stock-assets", "aws", "docker", "make"}
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", of("stock-assets"))
def test_stock_assets_accepts_the_command(command: str) -> None:
    words = [_VALUES.get(word, word) for word in shlex.split(re.sub(r"[\[\]]", "", command))[1:]]
    found = typer.main.get_command(app)
    while hasattr(found, "commands") and words:
        # Options of the group come first, such as `--universe banks`.
        _, [name, *words], _ = found.make_parser(typer.Context(found)).parse_args(list(words))
        found = found.commands[name]
    # The name of a command alone is no use of it.
    is_name = not words and found.name in {"add", "backfill", "backup", "import", "query"}
    if not (hasattr(found, "commands") or is_name):
        found.make_context(found.name, words)


def of_aws(command: str) -> Iterator[list[str]]:
    """Yield the commands of the AWS command line in a command, those that it runs inside included."""
    commands = []
    while inner := re.search(r"\$\(([^()]*)\)", command):
        commands.append(inner.group(1))
        command = command.replace(inner.group(), "WORD", 1)
    for one in [*re.split(r" && | \| ", command), *commands]:
        if one.startswith("aws "):
            yield shlex.split(one)


@pytest.mark.parametrize("command", [*of("aws"), *KEPT, *OPEN_UI])
def test_the_command_line_of_aws_knows_the_call_and_its_arguments(command: str) -> None:
    assert list(of_aws(command))
    session = botocore.session.get_session()
    for _, service, operation, *arguments in of_aws(command):
        options = {word for word in arguments if word.startswith("--")}
        if service == "s3":
            assert operation in _S3
        elif (service, operation) in _CUSTOM:
            assert options <= _CUSTOM[service, operation]
        else:
            model = session.get_service_model(service)
            [name] = [name for name in model.operation_names if xform_name(name, "-") == operation]
            shape = model.operation_model(name).input_shape
            assert shape is not None
            members = {f"--{xform_name(member, '-')}" for member in shape.members}
            assert options <= members | _EVERYWHERE
            assert {f"--{xform_name(member, '-')}" for member in shape.required_members} <= options
        for option in options & _FILES:
            assert (PROJECT / arguments[arguments.index(option) + 1]).is_file()


@pytest.mark.parametrize("command", of("docker"))
def test_docker_finds_the_services_and_arguments(command: str) -> None:
    words = shlex.split(command)
    services = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    if words[1:2] == ["compose"] and words[2] in {"exec", "run"}:
        [service, *inside] = [word for word in words[3:] if not word.startswith("--")]
        assert service in services
        assert inside[0] in {"dagster", "stock-assets"}
    for option, value in pairwise(words):
        if option == "--build-arg":
            name = value.partition("=")[0]
            assert f"ARG {name}=" in (PROJECT / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("command", of("make"))
def test_make_has_the_target(command: str) -> None:
    target = shlex.split(command)[1]
    assert re.search(rf"^{re.escape(target)}:", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_scripts_are_valid_shell(page: Path) -> None:
    for script in blocks(page):
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)  # noqa: S607
        assert (checked.returncode, checked.stderr) == (0, "")


def test_the_file_of_settings_for_containers_is_written_as_documented(tmp_path: Path) -> None:
    [script] = [script for script in blocks(_DEPLOY) if "cat > .env" in script]
    begin = script.partition("docker ")[0]
    subprocess.run(["bash", "-euc", begin], cwd=tmp_path, check=True)  # noqa: S607
    file = tmp_path / ".env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    values = dict(line.split("=", 1) for line in file.read_text(encoding="utf-8").splitlines())
    assert len(values["POSTGRES_PASSWORD"]) == 48
    assert values.keys() == {"POSTGRES_PASSWORD", "ALPHAVANTAGE_API_KEY", "STOCK_ASSETS_SOURCE"}
