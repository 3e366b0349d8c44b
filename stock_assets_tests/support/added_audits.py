"""Add audit files to a copy of the SQL folder."""

from pathlib import Path

import stock_assets.core.sql
from stock_assets.loads.audit_files import AuditKind, audits

SQL_FOLDER = Path(__file__).parents[2] / "sql"


def add_audit(folder: Path, kind: AuditKind, text: str, name: str = "not_ibm") -> None:
    """Write an audit file into a copy of the SQL folder."""
    (folder / "audit" / kind / f"{name}.sql").write_text(text, encoding="utf-8")
    forget_statements()


def forget_statements() -> None:
    """Clear the caches of statements and audits."""
    audits.cache_clear()
    stock_assets.core.sql._read.cache_clear()  # noqa: SLF001 (no public way: files do not change under a running process)
