"""The container image and compose.yaml: built and run as an ordinary user with a read-only root file system.

The processes and health checks are the commands of compose.yaml; only the ports are other ones.
"""

import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from stock_assets.settings import Settings, environment_variable
from stock_assets_tests.infra import tools
from stock_assets_tests.support.image import PROJECT, Image, build, why_not
from stock_assets_tests.support.ports import free_port
from stock_assets_tests.support.postgres import empty_database
from stock_assets_tests.support.real_daemon import wait_for

COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "compose.yaml").read_text(encoding="utf-8"))
OURS = ("code", "daemon", "webserver")
USER = 10001
WORKSPACE = "/opt/stock-assets/dagster/workspace.yaml"
LAUNCH = """
mutation ($job: String!, $session: String!) {
  launchRun(executionParams: {
    selector: {jobName: $job, repositoryName: "__repository__", repositoryLocationName: "stock_assets"}
    executionMetadata: {tags: [{key: "dagster/partition", value: $session}]}
  }) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } }
}"""
STATUS = "query ($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


class TestFiles:
    """What the files state, without building anything."""

    def test_the_base_is_an_argument_with_a_digest(self) -> None:
        text = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
        assert re.findall(r"^ARG BASE=(\S+)$", text, re.MULTILINE) == re.findall(
            r"docker\.io/library/python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", text
        )
        assert re.findall(r"^FROM (\S+)", text, re.MULTILINE) == ["${BASE}", "${BASE}"]

    @pytest.mark.infra
    @pytest.mark.skipif(tools.missing(tools.hadolint()) != "", reason=tools.missing(tools.hadolint()))
    def test_the_linter_finds_nothing_and_each_ignored_rule_has_a_reason(self) -> None:
        def findings(text: str) -> list[tuple[str, int]]:
            command = [str(tools.hadolint()), "--no-fail", "--format", "json", "-"]
            done = subprocess.run(command, input=text, capture_output=True, text=True, check=True)
            return [(one["code"], one["line"]) for one in json.loads(done.stdout)]

        text = (PROJECT / "Dockerfile").read_text(encoding="utf-8")
        assert findings(text) == []
        assert ("DL3002", 3) in findings("FROM a:1\nRUN true\nUSER root\n")
        lines = text.splitlines()
        ignored = [number for number, line in enumerate(lines) if "hadolint ignore" in line]
        assert all(len(lines[number - 1].removeprefix("# ").split()) >= 3 for number in ignored)

    def test_only_the_web_server_has_a_port_and_only_for_this_machine(self) -> None:
        ports = {name: service["ports"] for name, service in COMPOSE["services"].items() if "ports" in service}
        assert ports == {"webserver": ["127.0.0.1:3000:3000"]}

    @pytest.mark.parametrize("name", OURS)
    def test_a_service_can_write_to_its_volume_only(self, name: str) -> None:
        service = COMPOSE["services"][name]
        assert service["read_only"]
        assert service["volumes"] == ["data:/var/lib/stock-assets"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["stop_grace_period"] == "30s"

    def test_the_variables_of_the_files_are_settings(self) -> None:
        texts = [(PROJECT / name).read_text(encoding="utf-8") for name in ("Dockerfile", "compose.yaml")]
        words = {word.strip(" -:{}\"'") for text in texts for word in text.replace("=", " ").split()}
        named = {word for word in words if word.startswith("STOCK_ASSETS_") and "*" not in word}
        known = {environment_variable(field) for field in Settings.model_fields}
        assert {name for name in named if not name.startswith("STOCK_ASSETS_DAGSTER_")} <= known

    def test_the_instance_equals_the_one_for_aws_except_where_logs_are(self) -> None:
        docker, aws = _instance("docker"), _instance("aws")
        differ = {key for key in docker.keys() | aws.keys() if docker.get(key) != aws.get(key)}
        assert differ == {"compute_logs", "local_artifact_storage"}

    def test_the_builder_receives_what_the_dockerfile_copies_and_nothing_else(self) -> None:
        lines = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        sent = {line[1:] for line in lines if line.startswith("!")}
        assert "*" in lines
        copied = [
            line.split()[1:-1]
            for line in (PROJECT / "Dockerfile").read_text(encoding="utf-8").splitlines()
            if line.startswith("COPY ") and "--from" not in line
        ]
        names = {name for line in copied for name in line}
        assert {name.split("/")[0] for name in names} == {name.split("/")[0] for name in sent}


def _instance(folder: str) -> dict[str, Any]:
    text = (PROJECT / "infra" / folder / "dagster.yaml").read_text(encoding="utf-8")
    read: dict[str, Any] = yaml.safe_load(text)
    return read


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    if reason := why_not():
        pytest.skip(reason)
    return build(tmp_path_factory.mktemp("image"))


@dataclass
class Server:
    """The processes of compose.yaml on one machine.

    Attributes:
        image: the built image.
        folder: volume and logs.
        environment: of every process.
        ports: the ports of compose.yaml and those of this test.
        processes: by name of the service.
    """

    image: Image
    folder: Path
    environment: dict[str, str]
    ports: dict[str, str]
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def volume(self) -> Path:
        """Return the folder that compose.yaml mounts as the volume `data`."""
        return self.folder / "volume"

    def words(self, command: list[str]) -> list[str]:
        """Return a command with this test's ports and workspace file."""
        own = [
            self.ports.get(word, word).replace(WORKSPACE, "/var/lib/stock-assets/workspace.yaml") for word in command
        ]
        return [word.replace(":3000/", f":{self.ports['3000']}/") for word in own]

    def start(self, name: str) -> None:
        """Start the process of a service."""
        command = COMPOSE["services"][name].get("command", self.image.config["Cmd"])
        log = self.folder / f"{name}.log"
        self.processes[name] = self.image.start(self.words(command), self.volume, self.environment, log)

    def is_healthy(self, name: str) -> bool:
        """Run the health check of a service, in the image."""
        service = COMPOSE["services"][name]
        test = service["healthcheck"]["test"] if "healthcheck" in service else self.image.config["Healthcheck"]["Test"]
        assert test[0] == "CMD"
        assert self.processes[name].poll() is None, (self.folder / f"{name}.log").read_text()[-3000:]
        return self.image.run(self.words(test[1:]), self.volume, self.environment).returncode == 0

    def graphql(self, query: str, **variables: str) -> dict[str, Any]:
        """Send a query to the web server."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        url = f"http://127.0.0.1:{self.ports['3000']}/graphql"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 (as above)
            data: dict[str, Any] = json.load(response)["data"]
        return data


@pytest.fixture(scope="module")
def server(image: Image, postgres_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the three processes, in the order of compose.yaml."""
    folder = tmp_path_factory.mktemp("server")
    ports = {"3000": str(free_port()), "4000": str(free_port())}
    environment = {
        "STOCK_ASSETS_DAGSTER_POSTGRES_URL": empty_database(postgres_server),
        "STOCK_ASSETS_DAGSTER_CODE_SERVER": "127.0.0.1",
    }
    made = Server(image, folder, environment, ports, {})
    made.volume.mkdir()
    for path in (folder, *folder.parents):
        if path.owner() == "root" and path.is_relative_to("/tmp"):  # noqa: S108 (the folders that pytest made)
            path.chmod(path.stat().st_mode | 0o011)
    workspace = (image.root / WORKSPACE[1:]).read_text(encoding="utf-8")
    (made.volume / "workspace.yaml").write_text(workspace.replace("4000", ports["4000"]), encoding="utf-8")
    made.volume.joinpath("workspace.yaml").chmod(0o444)
    shutil.chown(made.volume, USER)
    try:
        for name in OURS:
            made.start(name)
            wait_for(lambda name=name: made.is_healthy(name), f"healthy {name}", 120)  # type: ignore[misc]  # bound now
        yield made
    finally:
        for process in made.processes.values():
            process.kill()
            process.wait()


@pytest.mark.image
class TestImage:
    """The built image. The tests run in this order: the last one stops the processes."""

    def test_it_names_an_ordinary_user_a_health_check_and_no_secret(self, image: Image) -> None:
        assert image.config["User"] == f"{USER}:{USER}"
        assert image.config["Healthcheck"]["Test"][0] == "CMD"
        assert not image.config.get("Entrypoint")
        names = {pair.split("=")[0] for pair in image.config["Env"]}
        assert not {name for name in names if "KEY" in name or "PASSWORD" in name or "URL" in name}

    def test_it_contains_the_locked_packages_and_no_tool_of_builds_and_tests(self, image: Image) -> None:
        packages = next((image.root / "opt/stock-assets/lib").glob("python3*/site-packages"))
        found = {path.name.split("-")[0].lower().replace("_", "-") for path in packages.glob("*.dist-info")}
        assert {"stock-assets", "dagster-postgres", "psycopg2-binary", "bokeh-sampledata"} <= found
        assert not found & {"pip", "setuptools", "pytest", "moto"}
        assert not (packages / "stock_assets_tests").exists()
        assert not (image.root / "src").exists()

    def test_nothing_but_the_volume_and_tmp_can_be_written(self, image: Image, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        for folder, written in {"/opt/stock-assets": False, "/etc": False, "/var/lib/stock-assets": True}.items():
            done = image.run(["touch", f"{folder}/file"], tmp_path, {})
            assert (done.returncode == 0) is written, done.stderr
        assert "Read-only" in image.run(["touch", "/opt/file"], tmp_path, {}).stderr
        assert (tmp_path / "file").stat().st_uid == USER

    def test_three_processes_load_one_session(self, server: Server) -> None:
        for process in server.processes.values():
            assert set(psutil.Process(process.pid).uids()) == {USER}
        launched = server.graphql(LAUNCH, job="daily_prices", session="2013-03-01")["launchRun"]
        assert launched["__typename"] == "LaunchRunSuccess", launched
        run = launched["run"]["runId"]

        def ended() -> str | None:
            status = str(server.graphql(STATUS, run=run)["runOrError"]["status"])
            return status if status in {"SUCCESS", "FAILURE", "CANCELED"} else None

        assert wait_for(ended, "run that has ended") == "SUCCESS"
        count = ["stock-assets", "query", "select count(*) as n from published.daily_prices", "--csv"]
        done = server.image.run(count, server.volume, server.environment)
        assert done.stdout.split()[1:] == ["5"], done.stderr

    def test_a_termination_signal_stops_each_process_within_30_seconds(self, server: Server) -> None:
        begin = time.monotonic()
        for process in server.processes.values():
            process.terminate()
        for name, process in server.processes.items():
            process.wait(timeout=max(0.1, 30 - (time.monotonic() - begin)))
            assert process.returncode in {0, -15, 143}, (name, process.returncode)
