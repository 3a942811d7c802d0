"""A report in a real browser: it sorts, it leads somewhere, it complains of nothing and asks for nothing."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from orchestrator.commands.report import report
from tests.support.reported import make_run

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SECONDS = 30  # until a page that does not answer fails
ALONE = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
)

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="there is no chromium with chromedriver: NO REPORT WAS OPENED IN A BROWSER (Debian: chromium-driver)",
)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(make_run(tmp_path_factory.mktemp("runs") / "run"))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (*ALONE, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    browser.set_page_load_timeout(SECONDS)
    yield browser
    browser.quit()


@pytest.fixture
def browser(started: webdriver.Chrome, page: Path) -> webdriver.Chrome:
    """The page, opened anew on a wide and light screen."""
    look(started, width=1280, scheme="light")
    for kind in ("browser", "performance"):
        _log(started, kind)
    started.get(page.as_uri())
    return started


def _log(browser: webdriver.Chrome, kind: str) -> list[dict[str, str]]:
    """What was written since it was last asked for."""
    entries: list[dict[str, str]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def look(browser: webdriver.Chrome, *, width: int, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


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
    assert _log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in _log(browser, "performance")]
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
    look(browser, width=width, scheme=scheme)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for selector in ("body", ".under", "dt", "a", "figcaption", ".notice", "th button", ".supported, .undecided, .refuted"):
        ink, ground = browser.execute_script(COLOURS, selector)
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)  # WCAG 2.2, 1.4.3
    dark = luminance(browser.execute_script(COLOURS, "body")[1]) < 0.5
    assert dark == (scheme == "dark")


# The colour of an element's text, and of the nearest ground behind it that is not transparent.
COLOURS = """
const parts = colour => colour.match(/[0-9.]+/g).map(Number);
let element = document.querySelector(arguments[0]);
const ink = parts(getComputedStyle(element).color).slice(0, 3);
for (; element; element = element.parentElement) {
  const ground = parts(getComputedStyle(element).backgroundColor);
  if (ground.length === 3 || ground[3] > 0) return [ink, ground.slice(0, 3)];
}
"""


def luminance(colour: list[float]) -> float:
    """WCAG's relative luminance."""
    linear = [level / 255 / 12.92 if level <= 10 else ((level / 255 + 0.055) / 1.055) ** 2.4 for level in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: list[float], second: list[float]) -> float:
    """WCAG's contrast ratio, 1..21."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)
