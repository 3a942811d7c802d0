"""HTML pages as their elements, for tests of what stands on them."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "input"}


@dataclass
class Element:
    """An element with its attributes, its children and its own text."""

    tag: str
    attributes: dict[str, str | None]
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def all(self, tag: str) -> list["Element"]:
        """Every such element within, in the page's order."""
        found = [self] if self.tag == tag else []
        return found + [each for child in self.children for each in child.all(tag)]

    @property
    def text(self) -> str:
        """All text within, with single spaces."""
        return " ".join("".join(self.texts).replace("\u00a0", " ").split())

    def rows(self) -> list[list[str]]:
        """A table's body, as text."""
        return [[cell.text for cell in row.children] for row in self.all("tbody")[0].all("tr")]


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attrs))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.texts.append(data)


def parsed(page: str) -> Element:
    """The page's elements. Every element that is opened must be closed."""
    parser = _Parser()
    parser.feed(page)
    parser.close()
    assert parser._open == [parser.root]
    return parser.root


def by_id(page: Element, name: str) -> Element:
    """The one element of that id."""
    found: list[Element] = []

    def look(element: Element) -> None:
        if element.attributes.get("id") == name:
            found.append(element)
        for child in element.children:
            look(child)

    look(page)
    (element,) = found
    return element
