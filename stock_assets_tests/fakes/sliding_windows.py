"""The limits of a vendor that counts requests as they arrive, in sliding windows."""

from collections.abc import Sequence


class SlidingWindows:
    """Accept or refuse requests by their times of arrival; a refused request counts, too.

    Attributes:
        arrivals: times of arrival in seconds, in order.
        refused: number of refused requests.
    """

    def __init__(self, limits: Sequence[tuple[int, float]]) -> None:
        """Take the limits: number of requests and length of the window in seconds."""
        self.arrivals: list[float] = []
        self.refused = 0
        self._limits = tuple(limits)

    def accept(self, at: float) -> bool:
        """Record a request that arrives; return whether every window that ends with it is within its limit."""
        self.arrivals.append(at)
        accepted = all(
            sum(at - window < earlier <= at for earlier in self.arrivals) <= allowed for allowed, window in self._limits
        )
        self.refused += not accepted
        return accepted


def ideal_seconds(limits: Sequence[tuple[int, float]], requests: int) -> float:
    """Return the shortest time from the first to the last of some requests that the limits allow."""
    sent: list[float] = []
    for _ in range(requests):
        sent.append(max([0.0, *(sent[-allowed] + window for allowed, window in limits if len(sent) >= allowed)]))
    return sent[-1]
