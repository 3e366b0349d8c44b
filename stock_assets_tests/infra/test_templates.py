"""The templates: valid, complete, and what no emulator checks: networks, disks, user data, budgets, tags."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from stock_assets.settings import Settings
from stock_assets_tests.infra import tools
from stock_assets_tests.infra.cloudformation import TEMPLATES, Stack, all_templates
from stock_assets_tests.infra.deployed import LEFT_OUT
from stock_assets_tests.infra.permissions import GIVEN, stacks

PROJECT = TEMPLATES.parents[1]
NOT_TAGGABLE = {
    "AWS::Budgets::Budget", "AWS::CloudWatch::Dashboard", "AWS::EC2::LaunchTemplate", "AWS::EC2::Route",
    "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::VPCEndpoint", "AWS::EC2::VPCGatewayAttachment",
    "AWS::ElasticLoadBalancingV2::Listener", "AWS::IAM::InstanceProfile", "AWS::IAM::ManagedPolicy",
    "AWS::Lambda::EventInvokeConfig", "AWS::Logs::LogStream", "AWS::S3::BucketPolicy", "AWS::SNS::Subscription",
    "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy", "AWS::Scheduler::Schedule",
}  # fmt: skip
"""Types without tags in CloudFormation, or without a cost."""
FILES = [str(TEMPLATES / f"{name}.yaml") for name in all_templates()]


@pytest.mark.infra
def test_the_templates_are_valid() -> None:
    lint = [str(Path(sys.executable).with_name("cfn-lint")), *FILES]
    found = subprocess.run(lint, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


@pytest.mark.infra
@pytest.mark.skipif(tools.missing(tools.checkov()) != "", reason=tools.missing(tools.checkov()))
def test_every_finding_of_checkov_is_fixed_or_has_a_reason_in_the_template() -> None:
    chosen = [argument for file in FILES for argument in ("-f", file)]
    command = [str(tools.checkov()), "--skip-download", "--compact", "--framework", "cloudformation", "-o", "json"]
    found = subprocess.run([*command, *chosen], capture_output=True, text=True, check=False)
    report = json.loads(found.stdout)
    assert [(one["check_id"], one["resource"]) for one in report["results"]["failed_checks"]] == []
    assert len({one["file_path"] for one in report["results"]["passed_checks"]}) == len(FILES)
    skipped = {(one["resource"].rpartition(".")[2], one["check_id"]) for one in report["results"]["skipped_checks"]}
    exceptions = {
        (name, skip["id"]): skip["comment"]
        for template in all_templates()
        for name, one in Stack(template).body["Resources"].items()
        for skip in one.get("Metadata", {}).get("checkov", {}).get("skip", [])
    }
    assert skipped == set(exceptions)
    assert all(len(reason.split()) >= 5 for reason in exceptions.values())


def test_lines_have_at_most_120_characters() -> None:
    for file in TEMPLATES.glob("*.yaml"):
        longest = max(file.read_text(encoding="utf-8").splitlines(), key=len)
        assert len(longest) <= 120, f"{file.name}: {longest}"


@pytest.mark.parametrize("template", all_templates())
def test_parameters_have_a_pattern_and_a_description(template: str) -> None:
    for name, parameter in Stack(template).body["Parameters"].items():
        assert parameter["Description"].endswith("."), name
        limited = {"AllowedPattern", "AllowedValues", "MinValue"} & parameter.keys()
        assert limited or parameter["Type"].startswith("AWS::SSM::"), name
        if "AllowedPattern" in parameter and "Default" in parameter:
            assert re.search(parameter["AllowedPattern"], parameter["Default"]), name


def test_every_parameter_without_a_default_is_an_output_or_a_key_of_an_artifact() -> None:
    """So a tool can deploy all stacks one after the other."""
    known, order = dict(GIVEN), ("data", "ingestion", "monitoring", "single", "fargate", "consumers", "github")
    for name in order:
        required = {key for key, one in Stack(name).body["Parameters"].items() if "Default" not in one}
        assert required <= known.keys(), name
        known |= stacks()[name].outputs()
    readme = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    outputs = {key for name in order for key in Stack(name).body["Outputs"]} - {"Settings"}
    assert {key for key in outputs if f"`{key}`" not in readme} == set()


def test_the_settings_of_all_stacks_together_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, str] = {}
    for stack in stacks().values():
        if "Settings" in stack.body["Outputs"]:
            assert found.keys().isdisjoint(stack.settings())
            found |= stack.settings()
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env()
    data, ingestion = stacks()["data"].outputs(), stacks()["ingestion"].outputs()
    assert (settings.aws_bucket, settings.alert_topic_arn) == (data["Bucket"], data["AlertTopicArn"])
    assert (settings.aws_lambda_function, settings.aws_pipes_bucket) == (
        ingestion["FunctionName"],
        ingestion["PipesBucket"],
    )
    assert str(settings.aws_landing_queue_url) == data["NewObjectsQueueUrl"]


def test_every_resource_with_tags_has_those_of_the_project() -> None:
    for template, stack in stacks().items():
        for name, one in stack.created.items():
            if one["Type"] not in NOT_TAGGABLE:
                tags = {tag["Key"]: tag["Value"] for tag in stack.properties(name)["Tags"]}
                assert tags["project"] == "stock_assets", (template, name)
                assert tags["source"] == "alpha_vantage", (template, name)


def test_there_are_no_users_and_no_access_keys() -> None:
    types = {one["Type"] for name in all_templates() for one in Stack(name).body["Resources"].values()}
    assert {"AWS::IAM::User", "AWS::IAM::AccessKey"}.isdisjoint(types)
    assert set(LEFT_OUT) <= types


def single(name: str) -> Any:  # noqa: ANN401 (YAML)
    return stacks()["single"].properties(name)


def test_nothing_reaches_the_instance_and_its_metadata_need_a_token() -> None:
    assert single("SecurityGroup")["SecurityGroupIngress"] == []
    launch = single("Template")["LaunchTemplateData"]
    assert launch["MetadataOptions"]["HttpTokens"] == "required"
    assert launch["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert launch["BlockDeviceMappings"][0]["Ebs"]["Encrypted"] is True
    assert single("Disk")["Encrypted"] is True
    assert "KeyName" not in launch
    group = single("Group")
    assert (group["MinSize"], group["MaxSize"]) == ("1", "1")
    assert group["VPCZoneIdentifier"] == [stacks()["single"].resolve({"Ref": "Subnet"})]
    assert single("Disk")["AvailabilityZone"] == single("Subnet")["AvailabilityZone"]


def test_the_disk_is_kept_and_has_daily_snapshots() -> None:
    disk = stacks()["single"].body["Resources"]["Disk"]
    assert (disk["DeletionPolicy"], disk["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")
    details = single("Snapshots")["PolicyDetails"]
    assert all(tag in single("Disk")["Tags"] for tag in details["TargetTags"])
    [schedule] = details["Schedules"]
    assert (schedule["CreateRule"]["Interval"], schedule["CreateRule"]["IntervalUnit"]) == (24, "HOURS")
    assert int(schedule["RetainRule"]["Count"]) == 7
    # The role deletes only snapshots with this tag.
    assert schedule["CopyTags"] is True


def test_the_user_data_are_valid_and_download_no_script() -> None:
    script = single("Template")["LaunchTemplateData"]["UserData"]
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)  # noqa: S607
    assert (checked.returncode, checked.stderr) == (0, "")
    assert not re.search(r"\b(curl|wget)\b", script)
    assert len(re.findall(r"pip\" install", script)) == 2
    assert "--only-binary :all: --require-hashes -r package/requirements.lock" in script
    assert "dagster-webserver -h 127.0.0.1 -p 3000" in script
    assert "portNumber=3000" in stacks()["single"].outputs()["OpenUi"]
    # A newer Dagster may need another schema of its database.
    code_server = script.partition("service code-server")[2].partition("service webserver")[0]
    assert code_server.index("configure_instance(") < code_server.index(
        "\nExecStartPre=/opt/stock-assets/current/bin/dag"
    )
    units = re.findall(r"^service (\S+)", script, re.MULTILINE)
    assert units == ["code-server", "webserver", "daemon"]
    assert all(f"stock-assets-{unit}" in script.partition("systemctl enable")[2] for unit in units)
    installed = script.partition("<<'END'\n")[2].partition("\nEND\n")[0]
    checked = subprocess.run(["bash", "-n"], input=installed, capture_output=True, text=True, check=False)  # noqa: S607
    assert (checked.returncode, checked.stderr) == (0, "")


def fargate(name: str, **given: str) -> Any:  # noqa: ANN401 (YAML)
    known = stacks()["fargate"]
    return Stack("fargate", {**known.given, **given}).properties(name)


@pytest.mark.parametrize(("template", "role"), [("single", "InstanceRole"), ("fargate", "RunRole")])
def test_a_role_reads_the_api_key_only_if_its_runs_send_the_requests(template: str, role: str) -> None:
    given, data = stacks()[template].given, stacks()["data"].outputs()
    assert data["ApiKeyPolicyArn"] not in Stack(template, given).properties(role)["ManagedPolicyArns"]
    alone = Stack(template, {**given, "IngestionPolicyArn": ""})
    assert data["ApiKeyPolicyArn"] in alone.properties(role)["ManagedPolicyArns"]
    without_key = Stack(template, {**given, "IngestionPolicyArn": "", "ApiKeyPolicyArn": ""})
    assert data["PipelinePolicyArn"] in without_key.properties(role)["ManagedPolicyArns"]


def test_only_runs_may_read_the_api_key() -> None:
    given = {**stacks()["fargate"].given, "IngestionPolicyArn": ""}
    for role in ("WebserverRole", "DaemonRole", "ExecutionRole"):
        attached = Stack("fargate", given).properties(role).get("ManagedPolicyArns", [])
        assert stacks()["data"].outputs()["ApiKeyPolicyArn"] not in attached


def test_only_the_load_balancer_reaches_the_ui_and_it_demands_a_login() -> None:
    assert fargate("TaskGroup", CertificateArn="")["SecurityGroupIngress"] == []
    [rule] = fargate("TaskGroup")["SecurityGroupIngress"]
    assert (rule["FromPort"], rule["ToPort"], rule["SourceSecurityGroupId"]) == (3000, 3000, "<BalancerGroup.GroupId>")
    [database] = fargate("DatabaseGroup")["SecurityGroupIngress"]
    assert database["SourceSecurityGroupId"] == "<TaskGroup.GroupId>"
    listener = fargate("Listener")
    assert listener["Protocol"] == "HTTPS"
    assert [action["Type"] for action in listener["DefaultActions"]] == ["authenticate-oidc", "forward"]
    assert listener["DefaultActions"][0]["AuthenticateOidcConfig"]["OnUnauthenticatedRequest"] == "authenticate"
    [rule] = Stack("fargate").body["Rules"].values()
    assert "LoginIssuer" in json.dumps(rule["Assertions"])


def test_the_command_for_the_ui_finds_the_container_of_the_webserver(tmp_path: Path) -> None:
    (tmp_path / "aws").write_text("""#!/bin/sh
case "$1 $2" in
"ecs list-tasks") echo arn:aws:ecs:us-east-1:123456789012:task/c/0a1b ;;
"ecs describe-tasks") case "$*" in *"task/c/0a1b"*"?name=='webserver'"*) echo 0a1b-2531612879 ;; esac ;;
*) echo "$@" ;;
esac
""")
    (tmp_path / "aws").chmod(0o755)
    command = stacks()["fargate"].outputs()["OpenUi"]
    path = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    shown = subprocess.run(["sh", "-euc", command], env=path, capture_output=True, text=True, check=True).stdout  # noqa: S607
    cluster = stacks()["fargate"].outputs()["ClusterName"]
    assert shown.split()[-1] == f"ecs:{cluster}_0a1b_0a1b-2531612879"
    assert shown.startswith("ssm start-session")


def test_the_database_is_private_encrypted_and_kept_as_a_snapshot() -> None:
    database = fargate("Database")
    assert database["PubliclyAccessible"] is False
    assert database["StorageEncrypted"] is True
    assert database["BackupRetentionPeriod"] >= 7
    assert "resolve:secretsmanager" in database["MasterUserPassword"]
    declared = Stack("fargate").body["Resources"]["Database"]
    assert (declared["DeletionPolicy"], declared["UpdateReplacePolicy"]) == ("Snapshot", "Snapshot")


TASKS = ("WebserverTask", "DaemonTask", "RunTask")


def containers(task: str) -> dict[str, Any]:
    """Return the containers of a task by name."""
    return {one["Name"]: one for one in fargate(task)["ContainerDefinitions"]}


@pytest.mark.parametrize(("task", "name"), [(task, name) for task in TASKS for name in containers(task)])
def test_containers_run_without_privileges_and_have_no_secret_in_their_environment(task: str, name: str) -> None:
    container = containers(task)[name]
    assert container["ReadonlyRootFilesystem"] is True
    assert container["User"] == "10001:10001"
    # If one of them ends, the task ends, and ECS starts it again.
    assert container["Essential"] is True
    assert [one["Name"] for one in container["Secrets"]] == ["STOCK_ASSETS_DAGSTER_POSTGRES_URL"]
    environment = {one["Name"]: one["Value"] for one in container["Environment"]}
    # What Dagster's launcher reads in dagster.fargate.yaml is the family of the definition of runs.
    assert environment["STOCK_ASSETS_DAGSTER_RUN_TASK"] == fargate("RunTask")["Family"]
    [file] = container["EnvironmentFiles"]
    assert file["Value"].endswith("/artifacts/settings.env")


@pytest.mark.parametrize(("task", "name"), [("WebserverTask", "webserver"), ("DaemonTask", "daemon")])
def test_web_server_and_daemon_wait_for_a_code_server_that_stays(task: str, name: str) -> None:
    """With a module instead of a server, Dagster's daemon starts a new code server every minute."""
    user, code = containers(task)[name], containers(task)["code"]
    assert user["DependsOn"] == [{"ContainerName": "code", "Condition": "HEALTHY"}]
    text = (PROJECT / "infra" / "docker" / "workspace.yaml").read_text(encoding="utf-8")
    [location] = yaml.safe_load(text)["load_from"]
    server = location["grpc_server"]
    assert user["Command"][-1].endswith("--workspace /opt/stock-assets/dagster/workspace.yaml")
    environment = {one["Name"]: one["Value"] for one in user["Environment"]}
    host = environment[server["host"]["env"]]
    assert host == "127.0.0.1"
    assert code["Command"][-1].endswith(
        f"dagster api grpc --host {host} --port {server['port']} --module-name stock_assets.definitions"
    )
    check = code["HealthCheck"]["Command"]
    assert check == yaml.safe_load((PROJECT / "compose.yaml").read_text())["services"]["code"]["healthcheck"]["test"]
    assert check[-1] == str(server["port"])
    # Two processes that write one dagster.yaml would read half of it.
    assert code["MountPoints"][0]["SourceVolume"] != user["MountPoints"][0]["SourceVolume"]


def test_the_image_declares_each_volume_of_the_fargate_tasks() -> None:
    # An empty volume belongs to root and only root writes to it, unless the image has a volume at the same path.
    [volumes] = re.findall(r"^VOLUME (.*)$", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), re.MULTILINE)
    tasks = Stack("fargate").of_type("AWS::ECS::TaskDefinition").values()
    paths = {
        mount["ContainerPath"]
        for task in tasks
        for container in task["ContainerDefinitions"]
        for mount in container["MountPoints"]
    }
    assert paths == {"/tmp"}  # noqa: S108 (a path in the container)
    assert paths <= set(json.loads(volumes))


def test_no_daemon_starts_code_servers() -> None:
    files = [PROJECT / "compose.yaml", *TEMPLATES.glob("*.yaml")]
    started = re.findall(r"dagster-daemon,? run\b.*", "\n".join(file.read_text(encoding="utf-8") for file in files))
    assert len(started) == 3
    assert [line for line in started if not re.search(r"(--workspace|-w),? /opt/stock-assets/", line)] == []


def test_there_is_never_a_second_daemon_and_it_migrates_the_database_of_an_earlier_dagster() -> None:
    container = containers("DaemonTask")["daemon"]
    assert "&& dagster instance migrate && exec dagster-daemon" in container["Command"][-1]
    service = fargate("DaemonService")
    assert service["DesiredCount"] == 1
    assert service["DeploymentConfiguration"]["MaximumPercent"] == 100


def test_the_instance_of_fargate_is_the_production_instance_with_another_launcher() -> None:
    production, there = (
        yaml.safe_load((TEMPLATES / name).read_text(encoding="utf-8"))
        for name in ("dagster.yaml", "dagster.fargate.yaml")
    )
    launcher = there.pop("run_launcher")
    assert production.pop("run_launcher") != launcher
    assert there == production
    assert launcher["class"] == "EcsRunLauncher"
    [container] = fargate("RunTask")["ContainerDefinitions"]
    assert launcher["config"]["container_name"] == container["Name"]


def ingestion(name: str) -> Any:  # noqa: ANN401 (YAML)
    return stacks()["ingestion"].properties(name)


def test_firehose_delivers_into_the_landing_area_and_errors_elsewhere() -> None:
    target = ingestion("DeliveryStream")["ExtendedS3DestinationConfiguration"]
    assert target["BufferingHints"] == {"SizeInMBs": 5, "IntervalInSeconds": 60}
    data = stacks()["data"].settings()
    landing = f"{data['STOCK_ASSETS_AWS_PREFIX']}/{data['STOCK_ASSETS_SOURCE']}/raw/daily_prices/"
    assert target["Prefix"] == (
        f"{landing}ingest_date=!{{timestamp:yyyy-MM-dd}}/firehose/!{{timestamp:yyyy/MM/dd/HH}}/"
    )
    assert target["CompressionFormat"] == "GZIP"
    assert not target["ErrorOutputPrefix"].startswith(data["STOCK_ASSETS_AWS_PREFIX"])


def test_the_schedule_is_off_and_nothing_repeats_the_requests_of_the_function() -> None:
    assert ingestion("Schedule")["State"] == "DISABLED"
    assert ingestion("FunctionRetries")["MaximumRetryAttempts"] == 0
    function = ingestion("Function")
    assert function["Timeout"] == 900
    known = {f"STOCK_ASSETS_{name.upper()}" for name in Settings.model_fields}
    assert function["Environment"]["Variables"].keys() <= known


def test_messages_of_the_function_have_a_bucket_of_their_own_and_expire() -> None:
    [rule] = ingestion("PipesMessages")["LifecycleConfiguration"]["Rules"]
    assert (rule["Status"], int(rule["ExpirationInDays"])) == ("Enabled", 7)
    assert "Prefix" not in rule
    assert stacks()["ingestion"].outputs()["PipesBucket"] != stacks()["data"].outputs()["Bucket"]


def monitoring(name: str) -> Any:  # noqa: ANN401 (YAML)
    return monitored().properties(name)


def monitored() -> Stack:
    """Return the stack with a database, which is created later."""
    return Stack("monitoring", {**stacks()["monitoring"].given, "DatabaseInstance": "dagster"})


def test_alarms_tell_the_topic_and_silence_counts_as_a_failure() -> None:
    alarms = monitored().of_type("AWS::CloudWatch::Alarm")
    topic = stacks()["data"].outputs()["AlertTopicArn"]
    assert set(alarms) == {
        "Heartbeat", "StaleData", "RunFailure", "FunctionErrors", "FailedEventsWaiting", "HintsWaiting",
        "DeliveryFreshness", "DatabaseStorage",
    }  # fmt: skip
    for name, alarm in alarms.items():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic], name
        assert len(alarm["AlarmDescription"].split(". ")) >= 2, name
    assert {name for name, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"} == {
        "Heartbeat", "StaleData", "DatabaseStorage",
    }  # fmt: skip
    few = Stack("monitoring", {"AlertTopicArn": topic})
    assert set(few.of_type("AWS::CloudWatch::Alarm")) == {"Heartbeat", "StaleData", "RunFailure"}


def test_the_dashboard_shows_every_alarm() -> None:
    widgets = json.loads(monitoring("Dashboard")["DashboardBody"])["widgets"]
    shown = {(metric[0], metric[1]) for one in widgets for metric in one["properties"]["metrics"]}
    alarms = monitored().of_type("AWS::CloudWatch::Alarm")
    assert {(alarm["Namespace"], alarm["MetricName"]) for alarm in alarms.values()} <= shown
    json.loads(
        Stack("monitoring", {"AlertTopicArn": "arn:aws:sns:us-east-1:123456789012:a"}).properties("Dashboard")[
            "DashboardBody"
        ]
    )


def test_the_budget_alerts_before_it_is_used_up() -> None:
    budget = monitoring("Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": "100", "Unit": "USD"}
    told = {
        (one["Notification"]["NotificationType"], one["Notification"]["Threshold"])
        for one in budget["NotificationsWithSubscribers"]
    }
    assert told == {("ACTUAL", 80), ("FORECASTED", 100)}
    topic = stacks()["data"].outputs()["AlertTopicArn"]
    assert {
        subscriber["Address"] for one in budget["NotificationsWithSubscribers"] for subscriber in one["Subscribers"]
    } == {topic}
    assert "Budget" not in Stack("monitoring", {"AlertTopicArn": topic, "MonthlyBudget": "0"}).created


def test_consumers_cannot_choose_where_results_are_written() -> None:
    group = stacks()["consumers"].properties("Workgroup")
    assert group["WorkGroupConfiguration"]["EnforceWorkGroupConfiguration"] is True
    assert {"Key": "GrafanaDataSource", "Value": "true"} in group["Tags"]
    assert group["RecursiveDeleteOption"] is True
    place = group["WorkGroupConfiguration"]["ResultConfiguration"]["OutputLocation"]
    bucket = stacks()["data"].properties("Bucket")
    folder = place.removeprefix(f"s3://{stacks()['data'].outputs()['Bucket']}/")
    assert folder in {rule.get("Prefix") for rule in bucket["LifecycleConfiguration"]["Rules"]}


def test_only_workflows_of_one_environment_assume_the_role() -> None:
    [statement] = stacks()["github"].properties("DeployRole")["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:owner/stock-assets:environment:production",
    }
    existing = "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"
    assert "Provider" not in Stack("github", {**stacks()["github"].given, "ProviderArn": existing}).created
