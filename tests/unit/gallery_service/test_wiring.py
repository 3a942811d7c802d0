"""Clients' galleries beside what a service offers: bounds from its settings, metrics, and an end to what has expired."""

import asyncio
from pathlib import Path

import pytest

from gallery_service import wiring
from gallery_service.store import DEFAULT, GalleryLimits
from gallery_service.wiring import client_galleries, limits_of, serving_galleries
from invader_service.config import InvaderSettings
from protector_service.config import ProtectorSettings
from rpc.images.limits import ImageLimits
from rpc.server import Server
from rpc.settings import ServiceSettings, read_settings
from rpc.worker import Worker
from tests.support.client_galleries import Clock, held, matchers_of
from tests.support.galleries import whole_photo
from tests.support.scraping import counted, scraped


@pytest.mark.parametrize("settings", [ProtectorSettings, InvaderSettings])
def test_the_bounds_are_settings_of_either_service(settings: type[ServiceSettings]) -> None:
    arguments = ["--client-galleries=3", "--gallery-identities=5", "--gallery-pictures=7", "--gallery-seconds=11"]
    assert limits_of(read_settings(settings, program="a-service", arguments=arguments)) == GalleryLimits(3, 5, 7, 11)
    assert limits_of(read_settings(settings, program="a-service", arguments=[])) == GalleryLimits()


@pytest.mark.parametrize("argument", ["--client-galleries=-1", "--gallery-identities=0", "--gallery-seconds=2147483648"])
def test_a_bound_that_is_none_stops_the_start_by_its_name(argument: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(InvaderSettings, program="invader-service", arguments=[argument])
    assert capsys.readouterr().err.startswith(f"invader-service: {argument.partition('=')[0]}: ")


async def test_galleries_are_counted_and_those_that_expire_are_forgotten_although_nobody_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_LOOK_EVERY_SECONDS", 0.001)
    worker, clock, gone = Worker(max_waiting=1), Clock(), asyncio.Event()
    galleries = client_galleries(
        matchers_of(tmp_path), limits=GalleryLimits(), images=ImageLimits(), find_face=whole_photo, worker=worker
    )
    assert galleries is not None
    store = galleries.store
    monkeypatch.setattr(store, "_clock", clock)
    monkeypatch.setattr(store, "_on_forgotten", lambda _: gone.set())
    server = Server(address="127.0.0.1:0", limits=ImageLimits())
    with serving_galleries(galleries, server):
        name, _ = store.create("ada", base=DEFAULT)
        store.enrol("ada", name, "x", [held("x0"), held("x1"), held("blank")])
        store.seal("ada", name)
        samples = scraped(server.metrics)
        assert counted(samples, "deid_galleries") == {"": 1}
        assert counted(samples, "deid_enrolled_pictures_total") == {"face=found": 2, "face=missed": 1}
        clock.now = 3600
        await asyncio.wait_for(gone.wait(), 60)
    assert (store.galleries, store.pictures("ada")) == (0, 0)
    assert server.other_services == ["deid.gallery.v1.GalleryService"]
    worker.close()
