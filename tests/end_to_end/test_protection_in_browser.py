"""The page of `orchestrator protect` in a real browser: the slider by mouse, finger and keys, on wide and narrow screens."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement

from orchestrator.protect.page import page
from tests.support.browser import check_screen, log, look, needs_browser, open_page, running_browser
from tests.support.protections import NOT_FOUND, protection_of, settled

pytestmark = [
    needs_browser,
    pytest.mark.thorough("orchestrator/protect/", "orchestrator/report/page.py", "orchestrator/report/templates/"),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of three photos, of which one gets no cloak, and of another a held-out recognizer names the person."""
    path = tmp_path_factory.mktemp("page") / "photos.cloaked.html"
    cases = (settled("me.jpg", faces=3), settled("b.jpg", NOT_FOUND), settled("c.jpg", held_out={"facenet-features": "Y Y"}))
    path.write_text(page(protection_of(*cases, remarks=("me.jpg: 2 other faces in it get no cloak",))))
    return path


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with running_browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(started: webdriver.Chrome, path: Path) -> webdriver.Chrome:
    open_page(started, path)
    return started


def slider(browser: webdriver.Chrome, name: str = "case1-1-face") -> WebElement:
    return browser.find_element(By.ID, name)


def uncovered(browser: webdriver.Chrome, name: str = "case1-1-face") -> float:
    """The share of the picture, from its left, in which the photo is seen as it is."""
    script = """
    const stage = document.getElementById(arguments[0]).parentElement;
    const after = stage.querySelector(".after");
    return [getComputedStyle(after).clipPath, stage.querySelector(".divider").offsetLeft / stage.clientWidth];
    """
    clip, line = browser.execute_script(script, name)
    share = float(clip.removeprefix("inset(").rstrip(")").split()[-1].rstrip("%")) / 100
    assert line == pytest.approx(share, abs=0.02)  # the line is where the pictures meet
    return share


def test_both_pictures_lie_over_each_other_and_the_line_is_in_the_middle(browser: webdriver.Chrome) -> None:
    assert uncovered(browser) == 0.5
    before, after = slider(browser).find_elements(By.XPATH, "../img")
    assert before.rect == after.rect
    assert before.get_attribute("src") != after.get_attribute("src")


def test_arrow_keys_home_and_end_move_the_line(browser: webdriver.Chrome) -> None:
    element = slider(browser)
    browser.execute_script("arguments[0].focus()", element)
    for key, expected in ((Keys.ARROW_RIGHT, 0.51), (Keys.ARROW_LEFT, 0.5), (Keys.HOME, 0.0), (Keys.END, 1.0)):
        element.send_keys(key)
        assert uncovered(browser) == pytest.approx(expected)
    assert element.get_attribute("aria-valuetext") == "100 % as it is, the rest with the cloak"
    outline = browser.execute_script("return getComputedStyle(arguments[0].parentElement).outlineStyle", element)
    assert outline == "solid"  # where the focus is can be seen


def test_each_line_moves_alone_and_is_reached_by_the_tab_key(browser: webdriver.Chrome) -> None:
    browser.execute_script("document.getElementById('case1-1-face').focus()")
    ActionChains(browser).send_keys(Keys.TAB).perform()
    assert browser.switch_to.active_element.get_attribute("id") == "case1-1-photo"
    ActionChains(browser).send_keys(Keys.HOME).perform()
    assert (uncovered(browser, "case1-1-photo"), uncovered(browser)) == (0, 0.5)


def test_the_mouse_drags_the_line(browser: webdriver.Chrome) -> None:
    element = slider(browser)
    quarter = element.size["width"] // 4
    ActionChains(browser).move_to_element(element).click_and_hold().move_by_offset(-quarter, 0).release().perform()
    assert uncovered(browser) == pytest.approx(0.25, abs=0.05)


def test_a_finger_drags_the_line_on_a_phone(browser: webdriver.Chrome) -> None:
    look(browser, width=390, scheme="light")
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", slider(browser))
    box = "const box = arguments[0].getBoundingClientRect(); return [box.x, box.y, box.width, box.height]"
    left, top, width, height = browser.execute_script(box, slider(browser))

    def touch(kind: str, share: float) -> None:
        points = [] if kind == "touchEnd" else [{"x": left + share * width, "y": top + height / 2}]
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 0.5)
    for share in (0.6, 0.7, 0.8):
        touch("touchMove", share)
    touch("touchEnd", 0.8)
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
    assert uncovered(browser) == pytest.approx(0.8, abs=0.06)


def test_where_no_cloak_was_found_there_is_no_slider_and_the_page_says_so(browser: webdriver.Chrome) -> None:
    sliders = [each.get_attribute("id") for each in browser.find_elements(By.CSS_SELECTOR, ".stage input")]
    assert sliders == ["case1-1-face", "case1-1-photo", "case3-1-face", "case3-1-photo"]
    good, bad, unconfirmed = browser.find_elements(By.CSS_SELECTOR, ".verdict-box")
    assert "No cloaked photo was written." in bad.text
    assert [each.get_attribute("class") for each in (good, bad, unconfirmed)] == [
        "verdict-box good",
        "verdict-box bad",
        "verdict-box bad",
    ]


def test_links_lead_to_their_sections(browser: webdriver.Chrome) -> None:
    for link in browser.find_elements(By.CSS_SELECTOR, "nav a"):
        target = (link.get_attribute("href") or "").rpartition("#")[2]
        assert browser.find_element(By.ID, target).tag_name == "section"


def test_every_picture_is_one_and_says_what_it_shows(browser: webdriver.Chrome) -> None:
    images = browser.find_elements(By.TAG_NAME, "img")
    assert len(images) == 2 * 4 + 2 + 1 + 2  # four sliders, two differences, a photo without a cloak, two other faces
    assert all(each.get_attribute("alt") for each in images)
    assert browser.execute_script("return Array.from(document.images).filter(each => each.naturalWidth === 0).length") == 0


def test_the_browser_complains_of_nothing_and_the_page_asks_for_nothing(browser: webdriver.Chrome, path: Path) -> None:
    slider(browser).send_keys(Keys.HOME)
    assert log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert path.as_uri() in asked
    assert [url[:60] for url in asked if url != path.as_uri() and not url.startswith("data:")] == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_screen_and_can_be_read(browser: webdriver.Chrome, width: int, scheme: str) -> None:
    of_text = (".under", ".headline", ".verdict-box li", "dt", "a", "figcaption", ".notice")
    selectors = (*of_text, "td.named", "td.hidden", ".faint", "th span")
    check_screen(browser, *selectors, width=width, scheme=scheme)
    stage = browser.find_element(By.CSS_SELECTOR, ".stage").rect
    assert stage["width"] == pytest.approx(stage["height"], abs=1)  # the face is not distorted
