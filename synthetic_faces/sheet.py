"""Contact sheets: many photographs on one picture."""

from PIL import Image

from synthetic_faces.population import Population

PEOPLE_A_ROW = 4


def contact_sheet(population: Population, *, photographs: int, side: int) -> Image.Image:
    """Everyone's photographs 1..photographs side by side, four people in a row, each photograph `side` pixels."""
    rows = -(-population.identities // PEOPLE_A_ROW)
    sheet = Image.new("RGB", (PEOPLE_A_ROW * photographs * side, rows * side), "white")
    for person in range(population.identities):
        row, column = divmod(person, PEOPLE_A_ROW)
        for number in range(photographs):
            picture = Image.fromarray(population.photograph(person + 1, number + 1))
            picture = picture.resize((side, side), Image.Resampling.LANCZOS)
            sheet.paste(picture, ((column * photographs + number) * side, row * side))
    return sheet
