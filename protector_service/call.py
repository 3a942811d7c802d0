"""A Craft call as the engine's customer."""

import time
from collections.abc import AsyncIterator, Callable

from deid.protector.v1 import protector_pb2

from protector_service.order import Cloak, Customer
from rpc.mailbox import Mailbox


class Call(Customer):
    """Encodes cloaks in the engine's threads and yields the responses on the event loop.

    It is wanted until its client has gone or its deadline has passed.
    """

    def __init__(
        self,
        respond: Callable[[Cloak], protector_pb2.CraftResponse],
        *,
        seconds_left: float | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._respond = respond
        self._clock = clock
        self._deadline = None if seconds_left is None else clock() + seconds_left
        self._gone = False
        self._mailbox: Mailbox[protector_pb2.CraftResponse] = Mailbox()

    def leave(self) -> None:
        """The client has gone."""
        self._gone = True

    def wants(self) -> bool:
        """See `Customer.wants`."""
        return not self._gone and (self._deadline is None or self._clock() < self._deadline)

    def deliver(self, cloak: Cloak) -> None:
        """See `Customer.deliver`."""
        self._mailbox.put(self._respond(cloak))

    def end(self, error: Exception | None) -> None:
        """See `Customer.end`."""
        self._mailbox.end(error)

    def __aiter__(self) -> AsyncIterator[protector_pb2.CraftResponse]:
        return aiter(self._mailbox)
