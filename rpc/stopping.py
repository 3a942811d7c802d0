"""The end of a service whose threads may be in the middle of something that cannot be interrupted."""

import logging
import os
import threading
from collections.abc import Callable

CLOSE_SECONDS = 10.0  # after the calls have been drained

logger = logging.getLogger(__name__)


def close_within(seconds: float, *closers: Callable[[], None], abandon: Callable[[], None] = lambda: os._exit(0)) -> None:
    """Calls closers, which wait for threads; ends the process where that takes longer than `seconds`.

    Nobody waits for what those threads compute: their calls were answered or given up before.
    """

    def close() -> None:
        for closer in closers:
            closer()

    closing = threading.Thread(target=close, name="closing", daemon=True)
    closing.start()
    closing.join(seconds)
    if closing.is_alive():
        logger.warning("a computation was abandoned", extra={"seconds": seconds})
        logging.shutdown()
        abandon()
