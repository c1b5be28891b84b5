"""The curriculum view as a learner meets it: in JupyterLab, in a real browser, with keys."""

import pytest
from looking import fits, resize, shows, slider

pytestmark = pytest.mark.browser

NOTEBOOK, PICTURE = "curriculum.ipynb", ".coconut-curriculum"
CELLS = (
    "from coconut_lab.explorers import CurriculumView",
    "view = CurriculumView()\nview",
)


def letters(page, part="encoding"):
    cells = page.locator(f"{PICTURE} .{part} .cell b")
    return "".join(cells.all_inner_texts()).lstrip("Q")


def test_arrow_keys_step_through_the_stages(page) -> None:
    slider(page, "Stage").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, method="coconut", stage=0)
    assert letters(page) == "BESSSAAA"
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, method="coconut", stage=1)
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, method="coconut", stage=2)
    assert letters(page) == "BTTEDDSAAA"
    assert letters(page, "prompt") == "BTTE"
    assert page.locator(".replaced").inner_text().startswith("Stage 2 replaces the first 2 steps")
    page.keyboard.press("End")
    shows(page, PICTURE, method="coconut", stage=4)
    assert page.locator(".strip .current").count() == 1


def test_a_thought_more_for_each_step(page) -> None:
    slider(page, "Stage").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, method="coconut", stage=0)
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, method="coconut", stage=1)
    slider(page, "Thoughts per step, c").focus()
    page.keyboard.press("End")
    page.get_by_text("1·c = 1·3 = 3 thoughts").wait_for()
    assert letters(page) == "BTTTEDSSAAA"
    assert page.locator("[data-fact='passes']").inner_text() == "4"
    page.keyboard.press("Home")
    page.get_by_text("1·c = 1 thought.").wait_for()


def test_padding_shows_past_the_last_stage(page) -> None:
    slider(page, "max_stage").focus()
    page.keyboard.press("End")
    page.get_by_text("max_stage 6").wait_for()  # the stages reach further now
    slider(page, "Stage").focus()
    page.keyboard.press("End")  # as far as the stages reached when the page was made: to 4
    shows(page, PICTURE, method="coconut", stage=4)
    for stage in (5, 6, 7):
        page.keyboard.press("ArrowRight")
        shows(page, PICTURE, method="coconut", stage=stage)
    assert letters(page).count("T") == 6
    page.get_by_text("pad to maximum").click()
    page.get_by_text("min(3, 6)·1 = 3 thoughts").wait_for()
    assert letters(page).count("T") == 3
    page.get_by_text("pad to maximum").click()
    page.get_by_text("max_stage·c = 6·1").wait_for()


def test_every_method_fits_into_the_page(page) -> None:
    """On a wide and on a narrow screen: no label is cut off, nothing sticks out."""
    choice = page.locator(".widget-dropdown select")
    methods = choice.locator("option").all_inner_texts()
    assert len(methods) == 8
    slider(page, "Stage").focus()
    for width in (700, 1280):
        resize(page, width)
        for method in methods:
            choice.select_option(method)
            shows(page, PICTURE, method=method)
            fits(page, PICTURE)
    choice.select_option("coconut")
    shows(page, PICTURE, method="coconut")
