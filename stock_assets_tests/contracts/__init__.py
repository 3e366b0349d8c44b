"""One suite for every implementation of an interface.

Belongs here: tests that run on every backend, and the contract classes (`*_contract.py`) that test modules subclass.
Does not belong here: behaviour of one backend (`backends`), helpers without tests (`support`).
"""

import pytest

# pytest explains failed assertions only in test modules and in modules that are registered before they are imported.
pytest.register_assert_rewrite(
    *(f"{__name__}.{name}_contract" for name in ("fetch_ledger", "objects", "packed_ledger", "rate_limiter"))
)
