"""A real AWS account instead of the emulator: read from the environment, with a separate folder per run, and clean-up.

Belongs here: what `make test-aws` and `make clean-aws` do besides running the suite. Does not belong here: the suite.

Nothing outside a run's own folder and databases is ever written or removed. Both are named after the run, so that the
data of a killed run can be found and removed later.
"""

import argparse
import hashlib
import os
import re
import secrets
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from stock_assets.backends.athena.backend import AthenaBackend
from stock_assets.backends.lakehouse.aws_session import AwsAccess, typed_errors
from stock_assets.backends.lakehouse.objects import BucketFolder, S3Objects

VARIABLES = "STOCK_ASSETS_TEST_AWS_"
NEEDED = ("BUCKET", "REGION")
_RUN = re.compile(r"r[0-9]{8}t[0-9]{6}_[0-9a-f]{6}")


class Account(BaseModel):
    """The part of an account in which the suite may write.

    Attributes:
        bucket: name of the bucket; it must exist.
        region: region of bucket, catalog and workgroup.
        workgroup: Athena workgroup; it must exist.
        prefix: folder of all runs.
        database: prefix of the names of the Glue databases of all runs.
        role_arn: role to assume; empty for none.
        kms_key: KMS key; empty for the keys that S3 manages.
        endpoint_url: address of an emulator; empty for AWS.
        run: name of this run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str
    region: str
    workgroup: str = "primary"
    prefix: str = "stock_assets_tests"
    database: str = "stock_assets_tests"
    role_arn: str = ""
    kms_key: str = ""
    endpoint_url: str = ""
    run: str

    @property
    def access(self) -> AwsAccess:
        """Region, role and endpoint."""
        return AwsAccess(region=self.region, role_arn=self.role_arn, endpoint_url=self.endpoint_url)

    @property
    def objects(self) -> S3Objects:
        """The folder of all runs."""
        return S3Objects(self.access, BucketFolder(self.bucket, self.prefix))

    def __str__(self) -> str:
        """Return where all data of the run are."""
        return f"s3://{self.bucket}/{self.prefix}/{self.run}/ and Glue databases {self.database}_{self.run}_*"


def missing_variables(environment: Mapping[str, str]) -> list[str]:
    """List the required variables that are not set."""
    return [f"{VARIABLES}{name}" for name in NEEDED if not environment.get(f"{VARIABLES}{name}")]


@cache
def named_account() -> Account | None:
    """Read the account from the environment, or None; one run per process."""
    if missing_variables(os.environ):
        return None
    fields = {
        name.removeprefix(VARIABLES).lower(): value
        for name, value in os.environ.items()
        if name.startswith(VARIABLES) and value
    }
    return Account(**{"run": f"r{datetime.now(UTC):%Y%m%dt%H%M%S}_{secrets.token_hex(3)}", **fields})


def account_backend(account: Account, folder: Path) -> AthenaBackend:
    """Return the backend of a test's folder in the account; every process gets the same one."""
    place = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
    prefix = f"{account.prefix}/{account.run}/{place}"
    return AthenaBackend(
        bucket=account.bucket,
        prefix=prefix,
        region=account.region,
        database=f"{account.database}_{account.run}_{place}",
        workgroup=account.workgroup,
        results=f"s3://{account.bucket}/{prefix}/results/",
        role_arn=account.role_arn,
        kms_key=account.kms_key,
        endpoint_url=account.endpoint_url,
    )


def runs(account: Account) -> list[str]:
    """List the runs that have left anything."""
    named = [name.removeprefix(f"{account.database}_").rsplit("_", 2)[0] for name in _databases(account, "")]
    stored = [key.partition("/")[0] for key in account.objects.keys("")]
    return sorted({run for run in [*named, *stored] if _RUN.fullmatch(run)})


def clean(account: Account) -> None:
    """Remove the tables, databases and objects of the account's run."""
    glue = account.access.client("glue")
    with typed_errors(f"removing the databases of {account.run}"):
        for database in _databases(account, account.run):
            for page in glue.get_paginator("get_tables").paginate(DatabaseName=database):
                for table in page["TableList"]:
                    glue.delete_table(DatabaseName=database, Name=table["Name"])
            glue.delete_database(Name=database)
    account.objects.delete_all(f"{account.run}/")


def _databases(account: Account, run: str) -> list[str]:
    with typed_errors("listing the Glue databases"):
        pages = account.access.client("glue").get_paginator("get_databases").paginate()
        names = [database["Name"] for page in pages for database in page["DatabaseList"]]
    return [name for name in names if name.startswith(f"{account.database}_{run}_" if run else f"{account.database}_r")]


def main(arguments: list[str]) -> int:
    """Check that the environment names an account, or list and remove what runs have left."""
    parser = argparse.ArgumentParser(prog="aws_account", description=__doc__)
    parser.add_argument("command", choices=["check", "clean"])
    parser.add_argument("runs", nargs="*", help="runs to remove, or `all`; without runs, list what is left")
    parsed = parser.parse_args(arguments)
    missing = missing_variables(os.environ)
    account = named_account()
    if account is None:
        sys.stderr.write(f"Set {' and '.join(missing)}. docs/aws.md describes these and the optional variables\n")
        return 2
    if parsed.command == "clean":
        left = runs(account)
        chosen = left if parsed.runs == ["all"] else parsed.runs
        unknown = sorted(set(chosen) - set(left))
        if unknown:
            sys.stderr.write(f"Nothing is left of run {', '.join(unknown)}. Left: {', '.join(left) or 'nothing'}\n")
            return 2
        for run in chosen:
            clean(account.model_copy(update={"run": run}))
        done = [f"{run}: {'removed' if run in chosen else 'left'}" for run in left]
        sys.stdout.write("\n".join(done or ["nothing is left"]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
