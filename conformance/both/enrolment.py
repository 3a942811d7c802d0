"""Whether a service enrols photos of its clients, and says so."""

from conformance.check import Problems, check
from conformance.client_galleries import SCHEMA
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
        refusal = await client.refusal(method.name, client.message(method.name))
        if refusal is None or refusal.code.name != "UNIMPLEMENTED":
            yield f"it states no `enrols`: expected UNIMPLEMENTED of {method.name}, got {refusal or 'an answer'}"
