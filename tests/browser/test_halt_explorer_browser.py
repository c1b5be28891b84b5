"""The halt explorer as a learner meets it: in JupyterLab, in a real browser, with keys."""

from __future__ import annotations

import pytest
from looking import cut, outside, shows, slider

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

NOTEBOOK, PICTURE = "halting.ipynb", ".coconut-halt"
CELLS = (
    "from test_halt_explorer import study_of\nfrom coconut_lab.explorers import HaltExplorer",
    "HaltExplorer(study_of(1, 200), {'steps': 0.5}, rule='steps')",
)
# Whether the card itself is wider than its cell.
WIDE = """
() => {
  const card = document.querySelector('.coconut-halt');
  const room = card.closest('.jp-OutputArea-output').getBoundingClientRect();
  return card.getBoundingClientRect().right > room.right + 1;
}
"""
# What has to be scrolled sideways to be seen.
SCROLLS = """
() => [...document.querySelectorAll('.coconut-halt .scrolling')]
  .filter(e => e.scrollWidth > e.clientWidth + 1).length
"""


def stops(page):
    discs = page.locator(".coconut-halt .strip .stop circle")
    return [float(disc.get_attribute("cx")) for disc in discs.all()]


def test_arrow_keys_move_the_stops(page) -> None:
    assert "0.5 or more" in page.locator(".coconut-halt .words").inner_text()
    slider(page, "Threshold").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, rule="steps", place=0)
    first = stops(page)
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, rule="steps", place=1)
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
    shows(page, PICTURE, rule="fixed")
    slider(page, "Threshold").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, rule="fixed", place=0)
    for place in range(1, 5):
        page.keyboard.press("ArrowRight")
        shows(page, PICTURE, rule="fixed", place=place)
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
            shows(page, PICTURE, rule=rule)
            assert cut(page) == []
            assert not page.evaluate(WIDE)
            assert outside(page, PICTURE) == 0
            assert page.evaluate(SCROLLS) == 0 or width < 1000
