"""A report in a real browser: it sorts, it leads somewhere, it complains of nothing and asks for nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from orchestrator.commands.report import report
from tests.support.browser import SECONDS, check_screen, log, needs_browser, open_page, running_browser
from tests.support.reported import make_run

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(make_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with running_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    """The page, opened anew on a wide and light screen."""
    open_page(started, page)
    return started


def column(browser: webdriver.Chrome, table: str, place: int) -> list[str]:
    cells: list[str] = browser.execute_script(
        "return Array.from(document.getElementById(arguments[0]).tBodies[0].rows, row => row.cells[arguments[1]].innerText)",
        table,
        place,
    )
    return cells


def heading(browser: webdriver.Chrome, table: str, name: str) -> WebElement:
    return browser.find_element(By.XPATH, f"//table[@id='{table}']//th[normalize-space()='{name}']")


def places(browser: webdriver.Chrome, table: str) -> list[str]:
    return [each.text for each in browser.find_elements(By.XPATH, f"//table[@id='{table}']//thead//th")]


def test_a_heading_sorts_its_table_up_down_and_back(browser: webdriver.Chrome) -> None:
    place = places(browser, "psr").index("PSR@1")
    written = column(browser, "psr", place)
    percent = [float(text.split()[0]) for text in written]
    assert percent != sorted(percent)
    psr = heading(browser, "psr", "PSR@1")
    for order, expected in (("ascending", sorted(percent)), ("descending", sorted(percent, reverse=True))):
        psr.find_element(By.TAG_NAME, "button").click()
        assert [float(text.split()[0]) for text in column(browser, "psr", place)] == expected
        assert psr.get_attribute("aria-sort") == order
    psr.find_element(By.TAG_NAME, "button").click()
    assert column(browser, "psr", place) == written
    assert psr.get_attribute("aria-sort") is None


def test_numbers_sort_as_numbers_and_names_as_names(browser: webdriver.Chrome) -> None:
    for name, key in (("ε", int), ("method", str)):
        heading(browser, "psr", name).find_element(By.TAG_NAME, "button").click()
        values = [key(text) for text in column(browser, "psr", places(browser, "psr").index(name))]
        assert values == sorted(values, key=lambda value: value.lower() if isinstance(value, str) else value)


def test_one_column_at_a_time_is_the_sorted_one(browser: webdriver.Chrome) -> None:
    for name in ("N", "PSR@5"):
        heading(browser, "psr", name).find_element(By.TAG_NAME, "button").click()
    marked = browser.find_elements(By.CSS_SELECTOR, "#psr th[aria-sort]")
    assert [each.text for each in marked] == ["PSR@5"]


def test_the_keyboard_sorts_too(browser: webdriver.Chrome) -> None:
    button = heading(browser, "transfer", "ε").find_element(By.TAG_NAME, "button")
    browser.execute_script("arguments[0].focus()", button)
    button.send_keys(Keys.ENTER)
    assert heading(browser, "transfer", "ε").get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.SPACE)
    assert heading(browser, "transfer", "ε").get_attribute("aria-sort") == "descending"


def test_what_is_not_reached_sorts_after_what_is(browser: webdriver.Chrome) -> None:
    name = "read by compact FaceNet"
    heading(browser, "smallest-epsilon", name).find_element(By.TAG_NAME, "button").click()
    values = column(browser, "smallest-epsilon", places(browser, "smallest-epsilon").index(name))
    assert list(dict.fromkeys(values)) == ["4", "64", "not reached"]


def test_a_link_leads_to_its_section_and_another_to_a_file(browser: webdriver.Chrome) -> None:
    browser.find_element(By.LINK_TEXT, "Tables").click()
    WebDriverWait(browser, SECONDS).until(
        lambda driver: (
            0 <= driver.execute_script("return document.getElementById('tables').getBoundingClientRect().top") < 200
        )
    )
    browser.find_element(By.LINK_TEXT, "manifest.json").click()
    WebDriverWait(browser, SECONDS).until(lambda driver: driver.current_url.endswith("/manifest.json"))
    assert json.loads(browser.find_element(By.TAG_NAME, "body").text)["format"] == 5


def test_the_browser_complains_of_nothing_and_the_page_asks_for_nothing(browser: webdriver.Chrome, page: Path) -> None:
    for button in browser.find_elements(By.CSS_SELECTOR, "th button"):
        browser.execute_script("arguments[0].click()", button)
    browser.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    assert [url[:60] for url in asked if url != page.as_uri() and not url.startswith("data:")] == []


def test_every_picture_is_one(browser: webdriver.Chrome) -> None:
    broken = browser.execute_script("return Array.from(document.images).filter(each => each.naturalWidth === 0).length")
    assert len(browser.find_elements(By.TAG_NAME, "img")) > 10
    assert broken == 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_screen_and_can_be_read(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    selectors = (".under", "dt", "a", "figcaption", ".notice", "th button", ".supported, .undecided, .refuted")
    check_screen(browser, *selectors, width=width, scheme=scheme)
