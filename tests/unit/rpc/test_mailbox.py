"""What computing threads send reaches the call on the event loop."""

import asyncio
import threading

import pytest

from rpc.mailbox import Mailbox


async def read(mailbox: Mailbox[int]) -> list[int]:
    return [item async for item in mailbox]


async def test_items_come_in_order_from_another_thread_until_the_end() -> None:
    mailbox: Mailbox[int] = Mailbox()

    def write() -> None:
        for item in range(100):
            mailbox.put(item)
        mailbox.end()

    reading = asyncio.create_task(read(mailbox))
    await asyncio.to_thread(write)
    assert await reading == list(range(100))


async def test_an_error_comes_after_the_items_before_it() -> None:
    mailbox: Mailbox[int] = Mailbox()
    mailbox.put(1)
    mailbox.put(2)
    mailbox.end(ZeroDivisionError("in the thread"))
    came: list[int] = []

    async def consume() -> None:
        async for item in mailbox:
            came.append(item)

    with pytest.raises(ZeroDivisionError, match="in the thread"):
        await consume()
    assert came == [1, 2]


async def test_items_come_as_they_are_put() -> None:
    mailbox: Mailbox[int] = Mailbox()
    items = aiter(mailbox)
    for item in range(3):
        mailbox.put(item)
        assert await anext(items) == item


def test_writing_after_the_loop_has_closed_is_no_error() -> None:
    async def make() -> Mailbox[int]:
        return Mailbox()

    mailbox = asyncio.run(make())
    failures: list[BaseException] = []

    def write() -> None:
        try:
            mailbox.put(1)
            mailbox.end()
        except BaseException as error:  # noqa: BLE001 - looked at below
            failures.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    thread.join()
    assert not failures
