"""How often a client may ask."""

import time
from collections.abc import Callable

import grpc

from rpc.errors import RATE_LIMITED, ServiceError

_SECOND, _MILLISECOND = 10**9, 10**6  # nanoseconds


class RateLimit:
    """Lets each client ask so many times a second on average, a second's worth of them at once. For one thread.

    The generic cell rate algorithm (ITU-T I.371): a client's next query is due 1 / rate after its last was; it may come up
    to a second early. In whole nanoseconds, because rounded seconds would now and then refuse the last query of a burst,
    or one that comes back when it was told to.
    """

    def __init__(self, per_second: float, *, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._per_second = per_second
        self._interval = int(_SECOND / per_second)
        self._tolerance = max(0, _SECOND - self._interval)
        self._clock = clock
        self._due: dict[str, int] = {}

    def admit(self, client: str) -> None:
        """Counts a query that is asked now.

        Raises:
            ServiceError: RESOURCE_EXHAUSTED, with the time to come back: it came too early, and does not count.
        """
        now = self._clock()
        due = max(now, self._due.get(client, now))
        early = due - now - self._tolerance
        if early > 0:
            raise ServiceError(
                f"at most {self._per_second:g} queries a second",
                code=grpc.StatusCode.RESOURCE_EXHAUSTED,
                reason=RATE_LIMITED,
                retry_after_ms=-(-early // _MILLISECOND),  # rounded up
            )
        # Who has been silent for long needs no memory: a client that comes anew is due at once.
        self._due = {name: time for name, time in self._due.items() if time > now} | {client: due + self._interval}
