"""Request prices and splits through the Lambda function, with Dagster Pipes.

Belongs here: invoking the function until all symbols are requested. Does not belong here: the function (`aws_lambda`),
checking what it has stored (`ingest.remote_requests`).

A run succeeds also if the function could not write its Pipes messages, so a missing report is an error here. The
function shares rate limiter and ledger with every other process; a run that is killed while the function works leaves
its responses in the ledger, and the retried run requests the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import dagster as dg
from botocore.config import Config
from dagster_aws.pipes import PipesLambdaClient, PipesS3MessageReader

from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors
from stock_assets.core.clock import utc_now
from stock_assets.core.errors import FunctionUnverified
from stock_assets.core.text import plural
from stock_assets.ingest.price_requests import RequestRules, SymbolResult
from stock_assets.ingest.remote_requests import (
    RequestReport,
    RequestTask,
    SymbolReport,
    splits_task,
    task_of,
    verified_results,
    verified_splits,
)
from stock_assets.ingest.split_requests import plan_splits
from stock_assets.pipeline import Pipeline

_LONGEST_SECONDS = 910
"""A function ends after 900 seconds at most."""
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class LambdaRequests:
    """The function of one account.

    Attributes:
        access: region, role and endpoint.
        function: name or ARN of the function.
        bucket: bucket of the Pipes messages.
        closures: unscheduled closures of the exchange, from the settings.
        universe: name of the universe, in a deployment with several.
    """

    access: AwsAccess
    function: str
    bucket: str
    closures: tuple[date, ...] = ()
    universe: str = ""

    def fetch(
        self, context: dg.AssetExecutionContext, pipeline: Pipeline, sessions: Sequence[date], rules: RequestRules
    ) -> list[SymbolResult]:
        """Request the missing bars of some sessions, in as many invocations as the time of one requires.

        Raises:
            FunctionUnverified: the report of an invocation is missing, or contradicts what is stored.
        """
        reports, responses = self._request(context, task_of(pipeline, sessions, rules, self.closures))
        return verified_results(pipeline, sessions, reports, responses)

    def fetch_splits(self, context: dg.AssetExecutionContext, pipeline: Pipeline) -> dict[str, str]:
        """Request the splits that are due; return the symbols that failed, with the reason.

        Raises:
            FunctionUnverified: as `fetch`.
        """
        plan = plan_splits(pipeline, at=utc_now())
        if not plan.symbols:
            return plan.failures({}, pipeline.universe)
        reports, responses = self._request(context, splits_task(pipeline, plan, self.closures))
        return plan.failures(verified_splits(pipeline, plan, reports, responses), pipeline.universe)

    def _request(self, context: dg.AssetExecutionContext, task: RequestTask) -> tuple[list[SymbolReport], list[str]]:
        """Invoke the function until it has no symbol left for another invocation; return reports and responses."""
        reports: dict[str, SymbolReport] = {}
        responses: list[str] = []
        task = task.model_copy(update={"universe": self.universe})
        while True:
            report = self._invoke(context, task)
            responses += report.responses
            for one in report.symbols:
                before = reports.get(one.symbol)
                if before is None or task.allows(one.symbol):
                    calls = one.calls + (before.calls if before else 0)
                    reports[one.symbol] = one.model_copy(update={"calls": calls})
            postponed = frozenset(one.symbol for one in report.symbols if one.postponed)
            if not postponed:
                return list(reports.values()), responses
            if not report.responses:
                raise FunctionUnverified(
                    f"raw/{task.kind}: an invocation of the function {self.function} ended without a response, and "
                    f"{plural(len(postponed), 'symbol waits', 'symbols wait')}. Raise its timeout (900 seconds is the "
                    "most), or materialize again later"
                )
            context.log.info(f"{plural(len(postponed), 'symbol')} left for another invocation of {self.function}")
            task = task.limited_to(postponed)

    def _invoke(self, context: dg.AssetExecutionContext, task: RequestTask) -> RequestReport:
        reader = PipesS3MessageReader(bucket=self.bucket, client=self.access.client("s3"), interval=_POLL_SECONDS)
        client = PipesLambdaClient(self._client(), message_reader=reader)
        with typed_errors(f"invoking the Lambda function {self.function}"):
            ended = client.run(
                function_name=self.function, event={"task": task.model_dump(mode="json")}, context=context
            )
        messages = ended.get_custom_messages()
        if len(messages) != 1:
            raise FunctionUnverified(
                f"raw/{task.kind}: the function {self.function} ended, and {plural(len(messages), 'report')} arrived "
                f"in s3://{self.bucket} instead of one. Allow the function's role s3:PutObject there, and the "
                "pipeline's role s3:GetObject and s3:ListBucket. The responses that the function stored are used by "
                "the next run"
            )
        return RequestReport.model_validate(messages[0])

    def _client(self) -> object:
        """Return a client that waits for the end of the function, and never invokes it twice."""
        config = Config(read_timeout=_LONGEST_SECONDS, retries={"total_max_attempts": 1}, tcp_keepalive=True)
        return self.access.session().client(
            "lambda",
            region_name=self.access.region,
            endpoint_url=self.access.endpoint_url or None,
            config=config,
        )
