"""Contact sheets: many photographs on one picture."""

from PIL import Image

from synthetic_faces.population import SIDE, Population


def contact_sheet(population: Population, *, photographs: int, people_a_row: int, side: int) -> Image.Image:
    """Everyone's photographs 1..photographs side by side, `people_a_row` people in a row, each photograph `side` pixels."""
    rows = -(-population.identities // people_a_row)
    sheet = Image.new("RGB", (people_a_row * photographs * side, rows * side), "white")
    for place in range(population.identities):
        for photograph in range(photographs):
            picture = Image.fromarray(population.photograph(place + 1, photograph + 1))
            if side != SIDE:
                picture = picture.resize((side, side), Image.Resampling.LANCZOS)
            column = place % people_a_row * photographs + photograph
            sheet.paste(picture, (column * side, place // people_a_row * side))
    return sheet
