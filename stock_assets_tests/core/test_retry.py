"""The retry policy: number of attempts, upper limits of the pauses, and which failures are retried."""

import pytest

from stock_assets.core.retry import retrying


class _FailingCall:
    """A call that raises the given exceptions in turn, and then returns its number."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> int:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return self.calls


def test_a_call_is_repeated_until_it_succeeds() -> None:
    call = _FailingCall(OSError("first"), OSError("second"))
    assert retrying(attempts=3, longest_seconds=1, on=OSError, sleep=lambda _: None)(call) == 3


def test_the_last_failure_is_raised_unchanged() -> None:
    call = _FailingCall(OSError("first"), OSError("second"), OSError("third"))
    with pytest.raises(OSError, match="second"):
        retrying(attempts=2, longest_seconds=1, on=OSError, sleep=lambda _: None)(call)
    assert call.calls == 2


def test_other_failures_are_not_retried() -> None:
    call = _FailingCall(ValueError("permanent"))
    with pytest.raises(ValueError, match="permanent"):
        retrying(attempts=5, longest_seconds=1, on=(OSError, KeyError), sleep=lambda _: None)(call)
    assert call.calls == 1


def test_a_function_can_select_the_failures_that_are_retried() -> None:
    call = _FailingCall(OSError("transient"), OSError("permanent"))
    with pytest.raises(OSError, match="permanent"):
        retrying(attempts=5, longest_seconds=1, on=lambda error: "transient" in str(error), sleep=lambda _: None)(call)
    assert call.calls == 2


def test_pauses_double_up_to_the_longest_one_and_are_random() -> None:
    limits = (0.5, 1.0, 2.0, 3.0, 3.0)
    pauses: list[float] = []
    for _ in range(50):
        call = _FailingCall(*(OSError(str(number)) for number in limits))
        retrying(attempts=6, longest_seconds=3, first_seconds=0.5, on=OSError, sleep=pauses.append)(call)
    rounds = [pauses[start : start + len(limits)] for start in range(0, len(pauses), len(limits))]
    for pauses_of_attempt, limit in zip(zip(*rounds, strict=True), limits, strict=True):
        assert min(pauses_of_attempt) >= 0
        assert limit / 2 < max(pauses_of_attempt) <= limit
