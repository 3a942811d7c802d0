"""A bound that changes while somebody waits."""

import asyncio

import pytest

from orchestrator.session.slots import Slots


class Size:
    """What a test makes it."""

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


async def waiting(slots: Slots, number: int) -> list[asyncio.Task[None]]:
    """Tasks that ask for a slot each, in their order, once each has got as far as it can."""
    tasks = [asyncio.create_task(slots.acquire()) for _ in range(number)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_no_more_than_its_size_are_let_in_and_who_waits_longest_comes_first() -> None:
    slots = Slots(Size(2))
    tasks = await waiting(slots, 4)
    assert [task.done() for task in tasks] == [True, True, False, False]
    slots.release()
    await tasks[2]
    assert not tasks[3].done()
    slots.release()
    await tasks[3]


async def test_a_size_that_grows_lets_more_in_as_soon_as_somebody_is_done_and_one_that_shrinks_fewer() -> None:
    size = Size(1)
    slots = Slots(size)
    tasks = await waiting(slots, 6)
    size.now = 3
    slots.release()
    await asyncio.gather(*tasks[1:4])
    size.now = 1
    for _ in range(2):
        slots.release()
    assert not any(task.done() for task in tasks[4:])
    slots.release()
    await tasks[4]


async def test_who_gives_up_takes_no_slot() -> None:
    slots = Slots(Size(1))
    tasks = await waiting(slots, 3)
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]
    slots.release()
    await tasks[2]
    slots.release()
    await slots.acquire()


async def test_a_slot_that_is_given_to_somebody_who_is_cancelled_at_once_is_not_lost() -> None:
    slots = Slots(Size(1))
    tasks = await waiting(slots, 3)
    slots.release()  # gives it to the second,
    tasks[1].cancel()  # which has not run since
    await asyncio.gather(tasks[1], return_exceptions=True)
    await asyncio.wait_for(tasks[2], 30)


async def test_a_slot_is_given_back_after_an_error() -> None:
    slots = Slots(Size(1))
    with pytest.raises(ZeroDivisionError):
        async with slots:
            raise ZeroDivisionError
    await asyncio.wait_for(slots.acquire(), 30)
