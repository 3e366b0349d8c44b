"""Name the audit file that the SQL engine does not accept.

Belongs here: finding the file after a statement that combines audits has failed. Does not belong here: combining audits
(`stage.staging`, `audit.audits`).

All audits of a step are one statement, since an engine may charge for each. If one file is broken, the engine's message
shows the combined statement, some 14 kB of SQL, and a position in it that no file has.
"""

from collections.abc import Iterable

from stock_assets.backends.interface import SqlConnection
from stock_assets.core.errors import InvalidQuery, QueryFailed
from stock_assets.loads.audit_files import Audit

_REJECTED_STATEMENT = (QueryFailed, InvalidQuery)
"""Errors about the statement itself. Their subclasses are about the engine, a limit or a cancellation: no file causes
them, and more statements would make them worse."""


def raise_for_broken_audit(sql: SqlConnection, bound_audits: Iterable[tuple[Audit, str]], cause: QueryFailed) -> None:
    """Run the audits one by one after a statement that combined them failed; return if every audit runs.

    Args:
        sql: a session of the load.
        bound_audits: the audits of the failed statement, each with its bound SELECT.
        cause: the error of the combined statement.

    Raises:
        QueryFailed: the engine does not accept one of the audits; the message names its file.
    """
    if type(cause) not in _REJECTED_STATEMENT:
        return
    for audit, select in bound_audits:
        try:
            sql.query(select)
        except QueryFailed as error:
            if type(error) not in _REJECTED_STATEMENT:
                return
            raise QueryFailed(
                f"sql/{audit.file.path}: the SQL engine cannot run this audit, so nothing was audited or published. "
                f"Correct the statement in this file, then run the step again. {error}"
            ) from error
