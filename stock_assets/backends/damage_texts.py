"""What damage means for users, and the command that fixes it: the same text in errors and in findings.

Belongs here: consequences and commands. Does not belong here: finding damage (`local.damage`), repairing; the commands
for responses, which depend on the ledger (`maintenance.findings`).
"""

from stock_assets.backends.interface import Damage, Part

REPAIR = "stock-assets repair --apply"
_S3 = "s3://"

_CONSEQUENCES = {
    Part.LAYOUT: "the data folder cannot be used",
    Part.LEDGER: "no session can be requested, loaded or published",
    Part.CALLS: "no call to the vendor can be made, because calls are counted in this file",
    Part.CATALOG: "consumers cannot read the published tables, and nothing can be published",
    Part.PACK: "loads that need a response in it are rejected",
}


def is_on_s3(address: str) -> bool:
    """Return whether a file is an object of S3, which `stock-assets repair` does not change."""
    return address.startswith(_S3)


def command_for_record(address: str) -> str:
    """Return the command that removes a damaged record, so that it is written again."""
    return f"aws s3 rm {address}" if is_on_s3(address) else REPAIR


def consequence(damage: Damage) -> str:
    """Return what does not work until the damage is fixed."""
    if damage.part is not Part.TABLE or damage.table is None:
        return _CONSEQUENCES[damage.part]
    if damage.is_current:
        return f"consumers cannot read all rows of {damage.table.full_name}, and loads that need them are not published"
    snapshots = ", ".join(map(str, damage.snapshots))
    return f"{damage.table.full_name} cannot be rolled back to {snapshots}; the current rows are not affected"


def describe(damage: Damage) -> str:
    """Return file, reason, consequence and command in one text."""
    return f"{damage.file}: {damage.why}. Consequence: {consequence(damage)}. To fix it, run: {REPAIR}"
