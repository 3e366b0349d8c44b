"""What `verify` finds: a file, what is wrong, the consequence, and the one command that fixes it.

Belongs here: the value, and its texts for responses and records. Does not belong here: comparing (`verify`), repairing
(`repair`), the texts about files of a backend (`backends.damage_texts`).
"""

from dataclasses import dataclass
from datetime import date

from stock_assets.backends.damage_texts import REPAIR, consequence
from stock_assets.backends.interface import Damage, Fetch


@dataclass(frozen=True)
class Finding:
    """One file that is missing or damaged, or rows that differ from their raw responses.

    Attributes:
        file: path, address or key.
        problem: what is wrong.
        consequence: what does not work until it is fixed.
        command: the command that fixes it.
        damage: the damaged file of the backend, if it is one.
        fetch: the entry of a damaged response in the ledger.
        sessions: sessions whose published rows differ.
    """

    file: str
    problem: str
    consequence: str
    command: str = REPAIR
    damage: Damage | None = None
    fetch: Fetch | None = None
    sessions: tuple[date, ...] = ()

    def __str__(self) -> str:
        """Return all of it in one line."""
        return f"{self.file}: {self.problem}. Consequence: {self.consequence}. To fix it, run: {self.command}"


def of_damage(damage: Damage) -> Finding:
    """Return the finding of a damaged file of the backend."""
    return Finding(damage.file, damage.why, consequence(damage), damage=damage)


def of_response(file: str, fetch: Fetch, why: str) -> Finding:
    """Return the finding of a response that is missing, damaged, or described wrongly in the ledger."""
    what = f"{fetch.symbol}, {fetch.first_session} to {fetch.last_session}" if fetch.first_session else fetch.symbol
    return Finding(file, why, f"loads that need it are rejected ({what})", fetch=fetch)
