"""The thought stepper as a learner meets it: in JupyterLab, in a real browser, with keys."""

from __future__ import annotations

import statistics

import pytest
from looking import fits, shows, slider

pytestmark = pytest.mark.browser

NOTEBOOK, PICTURE = "stepper.ipynb", ".coconut-stepper"
CELLS = (
    "from coconut_lab.explorers import ThoughtStepper",
    "from explorer_models import random_checkpoint",
    "stepper = ThoughtStepper(random_checkpoint())\nstepper",
)
# From the key to the first frame that shows the new picture.
STOPWATCH = """
() => {
  const box = document.querySelector('.coconut-stepper').parentElement;
  window.times = [];
  let pressed = null;
  document.addEventListener('keydown', () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (pressed === null) return;
    const start = pressed;
    pressed = null;
    requestAnimationFrame(() => {
      const drawn = new MessageChannel();
      drawn.port1.onmessage = () => window.times.push(performance.now() - start);
      drawn.port2.postMessage(null);
    });
  }).observe(box, { childList: true, subtree: true });
}
"""


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


def test_every_key_brings_a_picture(page) -> None:
    """How long that takes is printed; how much else a machine does is not the stepper's doing."""
    slider(page, "Thought").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, thought=0)
    page.evaluate(STOPWATCH)
    for step in range(20):
        page.keyboard.press("ArrowRight" if step % 4 < 2 else "ArrowLeft")
        page.wait_for_function(f"window.times.length > {step}")
    times = page.evaluate("window.times")
    median = statistics.median(times)
    print(
        f"\nkey to picture: {median:.0f} ms, median of {len(times)} (slowest {max(times):.0f} ms)"
    )


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


def test_markup_in_names_is_shown_as_text(page) -> None:
    type_own(page, "Tom is a <script>. Eva is a <img/src=x>. Is Tom a <script> or a <img/src=x>?")
    page.get_by_text("Is Tom a <script> or a <img/src=x>?").wait_for()
    assert page.locator(".coconut-stepper script, .coconut-stepper img").count() == 0
    assert page.locator(".graph text", has_text="<script>").count() >= 1


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
