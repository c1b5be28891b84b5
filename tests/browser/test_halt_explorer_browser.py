"""The halt explorer as a learner meets it: in JupyterLab, in a real browser, with keys."""

import pytest
from looking import fits, resize, shows, slider

pytestmark = pytest.mark.browser

NOTEBOOK, PICTURE = "halting.ipynb", ".coconut-halt"
CELLS = (
    "from explorer_models import study_of\nfrom coconut_lab.explorers import HaltExplorer",
    "HaltExplorer(study_of(1, 200), {'steps': 0.5}, rule='steps')",
)
# Whether the card itself is as narrow as its cell, and nothing in it has to be scrolled sideways.
HOLDS = """
wide => {
  const card = document.querySelector('.coconut-halt');
  const room = card.closest('.jp-OutputArea-output').getBoundingClientRect();
  const scrolls = [...card.querySelectorAll('.scrolling')]
    .filter(e => e.scrollWidth > e.clientWidth + 1);
  return card.getBoundingClientRect().right <= room.right + 1 && !(wide && scrolls.length);
}
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
    page.wait_for_function("() => +document.querySelector('.coconut-halt').dataset.place > 10")
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


def test_every_rule_fits_into_the_page(page) -> None:
    """On a wide and on a narrow screen: no label is cut off, nothing sticks out."""
    choice = page.locator(".widget-dropdown select")
    rules = choice.locator("option").all_inner_texts()
    assert len(rules) == 4
    for width in (700, 1280):
        resize(page, width)
        for label, rule in zip(rules, ("fixed", "steps", "entropy", "margin"), strict=True):
            choice.select_option(label=label)
            shows(page, PICTURE, rule=rule)
            fits(page, PICTURE)
            page.wait_for_function(HOLDS, arg=width > 1000)
