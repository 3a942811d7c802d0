"""A headless Chromium that a page is opened in, and what is measured there."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
SECONDS = 30  # until a page that does not answer fails
ALONE = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
)

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER),
    reason="there is no chromium with chromedriver: NO PAGE WAS OPENED IN A BROWSER (Debian: chromium-driver)",
)


@contextmanager
def running_browser(profile: Path) -> Iterator[webdriver.Chrome]:
    """A browser with a profile of its own, which keeps a log of what pages complain of and ask for."""
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for argument in (*ALONE, f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(DRIVER))
    browser.set_page_load_timeout(SECONDS)
    try:
        yield browser
    finally:
        browser.quit()


def log(browser: webdriver.Chrome, kind: str) -> list[dict[str, str]]:
    """What was written since it was last asked for; `kind` is "browser" or "performance"."""
    entries: list[dict[str, str]] = browser.get_log(kind)  # type: ignore[no-untyped-call]
    return entries


def open_page(browser: webdriver.Chrome, page: Path) -> None:
    """Opens a page anew on a wide and light screen."""
    look(browser, width=1280, scheme="light")
    for kind in ("browser", "performance"):
        log(browser, kind)
    browser.get(page.as_uri())


def look(browser: webdriver.Chrome, *, width: int, scheme: str) -> None:
    """Gives the browser a screen of a width and a colour scheme; below 500 pixels it is a phone's."""
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


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


def check_screen(browser: webdriver.Chrome, *selectors: str, width: int, scheme: str) -> None:
    """Makes sure that a page fits its screen, and that texts stand out from their grounds in its colour scheme."""
    look(browser, width=width, scheme=scheme)
    assert browser.execute_script("return innerWidth") == width
    assert browser.execute_script("return document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    for selector in ("body", *selectors):
        ink, ground = browser.execute_script(COLOURS, selector)
        assert contrast(ink, ground) >= 4.5, (selector, ink, ground)  # WCAG 2.2, 1.4.3
    dark = luminance(browser.execute_script(COLOURS, "body")[1]) < 0.5
    assert dark == (scheme == "dark")
