"""Photos that calls want at the same time are made once, and not for a call that nobody waits for."""

import threading

import pytest

from gallery_service.in_flight import CallEndedError, PhotosInFlight
from gallery_service.layers import HeldPhoto
from tests.support.client_galleries import held

ADA, BOB = "ada", "bob"


def never() -> HeldPhoto:
    raise AssertionError("it was made already")


def test_what_a_call_has_made_another_need_not_make_also_once_the_first_has_ended() -> None:
    flight, photo = PhotosInFlight(), held("x")
    with flight.wanted(ADA, ["x"]) as first, flight.wanted(ADA, ["x", "y"]) as second:
        assert first.photo("x", lambda: photo) is photo
        first.end()
        assert second.photo("x", never) is photo


def test_who_comes_when_all_have_ended_makes_it_anew() -> None:
    flight = PhotosInFlight()
    for _ in range(2):
        photo = held("x")
        with flight.wanted(ADA, ["x"]) as call:
            assert call.photo("x", lambda photo=photo: photo) is photo  # type: ignore[misc]


def test_clients_share_nothing() -> None:
    flight, photos = PhotosInFlight(), {ADA: held("x"), BOB: held("x")}
    with flight.wanted(ADA, ["x"]) as of_ada, flight.wanted(BOB, ["x"]) as of_bob:
        assert of_ada.photo("x", lambda: photos[ADA]) is photos[ADA]
        assert of_bob.photo("x", lambda: photos[BOB]) is photos[BOB]


def test_a_call_waits_for_what_another_s_thread_is_making() -> None:
    flight, photo = PhotosInFlight(), held("x")
    begun, go_on = threading.Event(), threading.Event()

    def make() -> HeldPhoto:
        begun.set()
        assert go_on.wait(60)
        return photo

    with flight.wanted(ADA, ["x"]) as first, flight.wanted(ADA, ["x"]) as second:
        found: list[HeldPhoto] = []
        threads = [threading.Thread(target=lambda: found.append(first.photo("x", make)))]
        threads[0].start()
        assert begun.wait(60)
        threads.append(threading.Thread(target=lambda: found.append(second.photo("x", never))))
        threads[1].start()
        go_on.set()
        for thread in threads:
            thread.join()
    assert found == [photo, photo]


def test_a_failure_is_told_to_all_who_want_the_photo() -> None:
    flight = PhotosInFlight()

    def fail() -> HeldPhoto:
        raise ValueError("no image")

    with flight.wanted(ADA, ["x"]) as first, flight.wanted(ADA, ["x"]) as second:
        for call in (first, second):
            with pytest.raises(ValueError, match="no image"):
                call.photo("x", fail)
    with flight.wanted(ADA, ["x"]) as third:
        assert third.photo("x", lambda: held("x"))


def test_a_call_that_has_ended_begins_no_photo_and_leaves_it_to_others() -> None:
    flight, photo = PhotosInFlight(), held("x")
    with flight.wanted(ADA, ["x"]) as first, flight.wanted(ADA, ["x"]) as second:
        first.end()
        with pytest.raises(CallEndedError):
            first.photo("x", never)
        assert second.photo("x", lambda: photo) is photo
