"""The error of a statement that Athena rejects."""


class StatementError(Exception):
    """Athena's error code and message."""
