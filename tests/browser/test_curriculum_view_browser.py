"""The curriculum view as a learner meets it: in JupyterLab, in a real browser, with keys."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = (
    "from coconut_lab.explorers import CurriculumView",
    "view = CurriculumView()\nview",
)
# What is cut off, and what sticks out of the card.
CUT = """
() => [...document.querySelectorAll('.jp-OutputArea-output .widget-label, '
       + '.jp-OutputArea-output button')]
  .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)
"""
OUTSIDE = """
() => {
  const card = document.querySelector('.coconut-curriculum').getBoundingClientRect();
  return [...document.querySelectorAll('.coconut-curriculum *')]
    .filter(e => !e.parentElement.closest('.scrolling'))
    .map(e => e.getBoundingClientRect())
    .filter(r => r.width && (r.left < card.left || r.right > card.right + 1)).length;
}
"""


@pytest.fixture(scope="module")
def notebook(open_page, lab):
    """The notebook, run from top to bottom, with the picture in view."""
    page, watch = open_page
    lab.run(page, "curriculum.ipynb", *CELLS)
    page.wait_for_selector(".coconut-curriculum", timeout=120_000)
    return page, watch


@pytest.fixture
def page(notebook):
    """The page; whatever a test did in it, it must have raised no error and left the machine."""
    page, watch = notebook
    yield page
    assert watch.errors == []
    assert watch.elsewhere == []


def slider(page, label):
    box = page.locator(".widget-slider").filter(has_text=re.compile(rf"^{label}\s*\d"))
    return box.get_by_role("slider")


def shows(page, method, stage):
    page.wait_for_selector(
        f".coconut-curriculum[data-method='{method}'][data-stage='{stage}']", timeout=10_000
    )


def letters(page, part="encoding"):
    cells = page.locator(f".coconut-curriculum .{part} .cell b")
    return "".join(cells.all_inner_texts()).lstrip("Q")


def test_arrow_keys_step_through_the_stages(page) -> None:
    slider(page, "Stage").focus()
    page.keyboard.press("Home")
    shows(page, "coconut", 0)
    assert letters(page) == "BESSSAAA"
    page.keyboard.press("ArrowRight")
    shows(page, "coconut", 1)
    page.keyboard.press("ArrowRight")
    shows(page, "coconut", 2)
    assert letters(page) == "BTTEDDSAAA"
    assert letters(page, "prompt") == "BTTE"
    assert page.locator(".replaced").inner_text().startswith("Stage 2 replaces the first 2 steps")
    page.keyboard.press("End")
    shows(page, "coconut", 4)
    assert page.locator(".strip .current").count() == 1


def test_a_thought_more_for_each_step(page) -> None:
    slider(page, "Stage").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    shows(page, "coconut", 1)
    slider(page, "Thoughts per step, c").focus()
    page.keyboard.press("End")
    page.get_by_text("1·c = 1·3 = 3 thoughts").wait_for(timeout=10_000)
    assert letters(page) == "BTTTEDSSAAA"
    assert page.locator("[data-fact='passes']").inner_text() == "4"
    page.keyboard.press("Home")
    page.get_by_text("1·c = 1 thought.").wait_for(timeout=10_000)


def test_padding_shows_past_the_last_stage(page) -> None:
    slider(page, "max_stage").focus()
    page.keyboard.press("End")
    page.get_by_text("max_stage 6").wait_for(timeout=10_000)  # the stages reach further now
    slider(page, "Stage").focus()
    page.keyboard.press("End")  # as far as the stages reached when the page was made: to 4
    shows(page, "coconut", 4)
    for stage in (5, 6, 7):
        page.keyboard.press("ArrowRight")
        shows(page, "coconut", stage)
    assert letters(page).count("T") == 6
    page.get_by_text("pad to maximum").click()
    page.get_by_text("min(3, 6)·1 = 3 thoughts").wait_for(timeout=10_000)
    assert letters(page).count("T") == 3
    page.get_by_text("pad to maximum").click()
    page.get_by_text("max_stage·c = 6·1").wait_for(timeout=10_000)


def test_every_method_stands_within_the_page(page) -> None:
    """On a wide and on a narrow screen: no label is cut off, nothing sticks out."""
    choice = page.locator(".widget-dropdown select")
    methods = choice.locator("option").all_inner_texts()
    assert len(methods) == 8
    slider(page, "Stage").focus()
    for width in (700, 1280):
        page.set_viewport_size({"width": width, "height": 1000})
        for method in methods:
            choice.select_option(method)
            page.wait_for_selector(f".coconut-curriculum[data-method='{method}']", timeout=10_000)
            assert page.evaluate(CUT) == []
            assert page.evaluate(OUTSIDE) == 0
    choice.select_option("coconut")
    page.wait_for_selector(".coconut-curriculum[data-method='coconut']", timeout=10_000)
