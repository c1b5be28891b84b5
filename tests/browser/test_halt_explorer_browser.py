"""The halt explorer as a learner meets it: in JupyterLab, in a real browser, with keys."""

from __future__ import annotations

import re

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CELLS = (
    "from test_halt_explorer import study_of\nfrom coconut_lab.explorers import HaltExplorer",
    "HaltExplorer(study_of(1, 200), {'steps': 0.5}, rule='steps')",
)
CUT = """
() => [...document.querySelectorAll('.jp-OutputArea-output .widget-label')]
  .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)
"""
OUTSIDE = """
() => {
  const card = document.querySelector('.coconut-halt').getBoundingClientRect();
  const room = document.querySelector('.coconut-halt').closest('.jp-OutputArea-output');
  if (card.right > room.getBoundingClientRect().right + 1) return -1;
  return [...document.querySelectorAll('.coconut-halt *')]
    .filter(e => !e.parentElement.closest('.scrolling'))
    .map(e => e.getBoundingClientRect())
    .filter(r => r.width && (r.left < card.left || r.right > card.right + 1)).length;
}
"""
# What has to be scrolled sideways to be seen.
SCROLLS = """
() => [...document.querySelectorAll('.coconut-halt .scrolling')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).length
"""


@pytest.fixture(scope="module")
def notebook(open_page, lab):
    """The notebook, run from top to bottom, with the picture in view."""
    page, watch = open_page
    lab.run(page, "halting.ipynb", *CELLS)
    page.wait_for_selector(".coconut-halt", timeout=120_000)
    return page, watch


@pytest.fixture
def page(notebook):
    """The page; whatever a test did in it, it must have raised no error and left the machine."""
    page, watch = notebook
    yield page
    assert watch.errors == []
    assert watch.elsewhere == []


def slider(page):
    box = page.locator(".widget-slider").filter(has_text=re.compile(r"^Threshold\s*\d"))
    return box.get_by_role("slider")


def shows(page, rule, place):
    page.wait_for_selector(
        f".coconut-halt[data-rule='{rule}'][data-place='{place}']", timeout=10_000
    )


def stops(page):
    discs = page.locator(".coconut-halt .strip .stop circle")
    return [float(disc.get_attribute("cx")) for disc in discs.all()]


def test_arrow_keys_move_the_stops(page) -> None:
    assert "0.5 or more" in page.locator(".coconut-halt .words").inner_text()
    slider(page).focus()
    page.keyboard.press("Home")
    shows(page, "steps", 0)
    first = stops(page)
    page.keyboard.press("ArrowRight")
    shows(page, "steps", 1)
    page.keyboard.press("End")
    page.wait_for_function(
        "() => +document.querySelector('.coconut-halt').dataset.place > 10", timeout=10_000
    )
    last = stops(page)
    assert len(first) == len(last) == 18
    assert max(first) < min(last)  # all at once, then none before the largest number


def test_another_rule_by_keyboard(page) -> None:
    choice = page.locator(".widget-dropdown select")
    choice.focus()
    page.keyboard.press("Home")
    page.wait_for_selector(".coconut-halt[data-rule='fixed']", timeout=10_000)
    slider(page).focus()
    page.keyboard.press("Home")
    shows(page, "fixed", 0)
    for place in range(1, 5):
        page.keyboard.press("ArrowRight")
        shows(page, "fixed", place)
    words = page.locator(".coconut-halt .words").inner_text()
    assert words == "Stop after 4 thoughts, whatever the problem"


def test_every_rule_stands_within_the_page(page) -> None:
    """On a wide and on a narrow screen: no label is cut off, nothing sticks out."""
    choice = page.locator(".widget-dropdown select")
    rules = choice.locator("option").all_inner_texts()
    assert len(rules) == 4
    for width in (700, 1280):
        page.set_viewport_size({"width": width, "height": 1000})
        for label, rule in zip(rules, ("fixed", "steps", "entropy", "margin"), strict=True):
            choice.select_option(label=label)
            page.wait_for_selector(f".coconut-halt[data-rule='{rule}']", timeout=10_000)
            assert page.evaluate(CUT) == []
            assert page.evaluate(OUTSIDE) == 0
            assert page.evaluate(SCROLLS) == 0 or width < 1000
