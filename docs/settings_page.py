"""Generate docs/settings.md from the class `Settings`: `make settings-docs`.

Belongs here: how the page looks. Does not belong here: what a setting means (`stock_assets.settings`).
"""

import re
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from stock_assets.settings import API_KEY_VARIABLE, Settings
from stock_assets.settings.fields import AlertFields, AwsFields, GeneralFields, TrinoFields, VendorFields

PAGE = Path(__file__).with_name("settings.md")

_INTRODUCTION = """\
# Settings

Environment variables set the pipeline. What they do not set is read from the file `.env` in the working directory or
its nearest parent: lines `NAME=value`, with the names below and the secrets; paths are relative to the file. Files of
other users are ignored. `STOCK_ASSETS_ENV_FILE` names another file. An empty variable counts as not set.
This page is generated from [`fields.py`](../stock_assets/settings/fields.py); run `make settings-docs` after a change.
"""

_SECTIONS: dict[str, type[BaseModel]] = {
    "General": GeneralFields,
    "Live prices": VendorFields,
    "Alerts and links": AlertFields,
    "AWS backend": AwsFields,
    "Trino backend": TrinoFields,
}

_SECRETS = f"""\
## Secrets

No setting contains these; each is read when it is used.

| variable | meaning |
|---|---|
| `{API_KEY_VARIABLE}` | API key of Alpha Vantage; read when a request is sent |
| `STOCK_ASSETS_TRINO_PASSWORD` | password of the Trino user; read when a statement is sent; needs an `https` address |

## Variables of other files

| variable | read by |
|---|---|
| `STOCK_ASSETS_DAGSTER_*` | [`infra/aws/dagster.yaml`](../infra/aws/dagster.yaml) |
| `STOCK_ASSETS_ATHENA_*` | the data source of [Grafana](dashboards.md#grafana) |
| `STOCK_ASSETS_TEST_*` | the tests; see [aws](aws.md#tests) and [engines](engines.md#the-server-of-the-tests) |
"""


def render() -> str:
    """Return the text of the page."""
    tables = [
        f"## {title}\n\n| variable | default | meaning |\n|---|---|---|\n"
        + "".join(_row(name, field) for name, field in fields.model_fields.items())
        for title, fields in _SECTIONS.items()
    ]
    return "\n".join([_INTRODUCTION, *tables, _SECRETS])


def variable(name: str, field: FieldInfo) -> str:
    """Return the environment variable of a field."""
    return str(field.validation_alias or f"{Settings.model_config['env_prefix']}{name.upper()}")


def _row(name: str, field: FieldInfo) -> str:
    # Pydantic adds a slash to an address without a path.
    default = "" if field.default in (None, (), "") else f"`{str(field.default).rstrip('/')}`"
    meaning = re.sub(r"docs/(\w+)\.md", r"[\1](\1.md)", field.description or "")
    return f"| `{variable(name, field)}` | {default} | {meaning} |\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
