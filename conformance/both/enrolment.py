"""Whether a service enrols photos of its clients, and says so."""

from deid.gallery.v1 import gallery_pb2

from conformance.check import Problems, check
from conformance.client_galleries import SCHEMA
from conformance.refusals import Refused
from conformance.service import Service


@check(
    "enrols",
    demands="A service that states `enrols` has a matcher and creates galleries; of any other, every method of "
    "GalleryService is UNIMPLEMENTED.",
    why="A client that cannot enrol has to know it before it plans a run; a gallery that nobody knows of is a way in.",
)
async def enrols(service: Service) -> Problems:
    client = service.client.of_another_service(SCHEMA)
    if service.listed.enrols:
        if not service.matchers:
            yield "it states that it enrols, and has no matcher"
        created = await client.ask("CreateGallery")
        if not created.gallery:
            yield "expected the name of a gallery, got none"
        await client.ask("DeleteGallery", gallery=created.gallery)
        return
    for method in SCHEMA.methods:
        try:
            answer = await client.ask(method.name)
        except Refused as refused:
            got = str(refused.refusal)
            if refused.refusal.code.name == "UNIMPLEMENTED":
                continue
        else:
            got = "an answer"
            if isinstance(answer, gallery_pb2.CreateGalleryResponse):
                await client.ask("DeleteGallery", gallery=answer.gallery)
        yield f"it states no `enrols`: expected UNIMPLEMENTED of {method.name}, got {got}"
