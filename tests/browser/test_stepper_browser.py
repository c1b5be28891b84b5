"""The thought stepper as a learner meets it: in JupyterLab, in a real browser, with keys."""

import pytest
from looking import fits, shows, slider

pytestmark = pytest.mark.browser

NOTEBOOK, PICTURE = "stepper.ipynb", ".coconut-stepper"
CELLS = (
    "from coconut_lab.explorers import ThoughtStepper",
    "from explorer_models import random_checkpoint",
    "stepper = ThoughtStepper(random_checkpoint())\nstepper",
)


def picture(page):
    return page.locator(PICTURE)


def test_arrow_keys_step_through_the_thoughts(page) -> None:
    handle = slider(page, "Thought")
    handle.focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, thought=0)
    assert page.locator(".graph .node[data-probability]").count() == 0
    before = picture(page).inner_html()
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, thought=1)
    assert picture(page).inner_html() != before
    assert page.locator(".graph .node[data-probability]").count() >= 10
    assert page.locator(".graph .ring").count() >= 1
    assert page.locator(".caption").inner_text().startswith("Thought 1 puts")
    page.keyboard.press("End")
    shows(page, PICTURE, thought=3)


def test_the_budget_has_a_slider_of_its_own(page) -> None:
    slider(page, "Thought budget").focus()
    page.keyboard.press("End")
    shows(page, PICTURE, budget=3)
    assert page.locator(".score").inner_text() == "98.0% (96.9 to 98.7)"


def test_play_runs_to_the_last_thought(page) -> None:
    slider(page, "Thought").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, thought=0)
    page.locator(".widget-play button").first.click()
    shows(page, PICTURE, thought=3)


def test_everything_fits_into_the_page(page) -> None:
    fits(page, PICTURE, slack=0)


def type_own(page, text):
    page.get_by_role("button", name="my own graph").click()
    page.locator(".widget-textarea textarea").fill(text)
    page.get_by_role("button", name="Show my graph").click()


def test_bad_text_is_explained_and_the_picture_stays(page) -> None:
    type_own(page, "| Tom a | Eva b [Q] a b [R] Tom")
    page.get_by_text("Is Tom a a or a b?").wait_for()
    before = picture(page).inner_html()
    type_own(page, "| Tom a | a b | b a | Eva c [Q] b c [R] Tom")
    alert = page.get_by_role("alert").filter(has_text="cannot be shown")
    alert.wait_for()
    assert "cycle" in alert.inner_text()
    assert picture(page).inner_html() == before
    page.get_by_role("button", name="from the list").click()
    page.get_by_text("problem 0 of 100").wait_for()
    assert page.get_by_text("This cannot be shown").count() == 0
