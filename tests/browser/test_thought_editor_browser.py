"""The editor of thoughts in a real browser, with Python's answers."""

from __future__ import annotations

import pandas as pd
import pytest
from bare import settle

from coconut_lab.explorers import ThoughtEditor

pytestmark = pytest.mark.browser
TABLE = {
    "right": [0.987, 0.013],
    "low": [0.98, 0.01],
    "high": [0.99, 0.02],
    "distractor": [0, 0.986],
}


def said(page):
    return page.locator(".said").inner_text()


def test_a_donor_a_bar_and_a_dose_by_keyboard_and_the_game(draw):
    table = pd.DataFrame(TABLE, index=["none", "twin 1"])
    editor = ThoughtEditor(table=table, directions={"mine": [1.0] * 64})
    page = draw(editor)
    assert said(page).startswith("Unedited, it says ")
    donor = page.get_by_role("combobox", name="Thought 1")
    donor.focus()
    page.keyboard.press("ArrowDown")
    settle(page)
    assert editor.whose == ["twin", "own", "own"] and said(page).startswith(
        "Flipped. With thought 1"
    )
    assert page.locator(".said").get_attribute("role") == "status"
    assert "1.3% right (1.0 to 2.0), 98.6% say the other" in page.locator(".over").inner_text()
    page.get_by_role("button", name="Game").click()
    page.get_by_role("button", name="Hand in").click()
    settle(page)
    (tried,) = editor.tries
    assert tried["flipped"] and tried["bits"] == editor.data["edited"]["bits"]
    assert "flipped" in page.locator("li.best").inner_text()
    page.get_by_role("button", name="Undo all").click()
    settle(page)
    page.get_by_role("button", name="Hand in").click()
    assert "Nothing is changed yet" in page.locator(".board").inner_text()

    bar = page.locator("td.bar[data-thought='1'] input").nth(1)
    name = bar.get_attribute("aria-label").removesuffix(" in thought 1")
    bar.focus()
    page.keyboard.press("Home")
    settle(page)
    assert editor.words[0] == {name: 0} and "moved to 0.00" in bar.get_attribute("aria-valuetext")
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    settle(page)
    assert editor.words[0][name] == pytest.approx(0.3)
    page.keyboard.press("Backspace")
    settle(page)
    assert editor.words[0] == {}
    page.get_by_role("slider", name="dose for thought 2").focus()
    page.keyboard.press("End")
    settle(page)
    assert editor.doses == [0, 5, 0] and "thought 2: +5 × mine" in said(page)

    page.get_by_role("spinbutton", name="Problem").fill("7")
    page.keyboard.press("Enter")
    settle(page)
    assert editor.index == 7 and editor.data["source"] in page.locator("header").inner_text()
    bars = page.locator("td.bar[data-thought='1'] input")
    bars.nth(1).focus()
    page.keyboard.press("ArrowDown")
    wanted = bars.nth(2).get_attribute("aria-label")
    assert page.evaluate("document.activeElement.ariaLabel") == wanted


def test_a_bar_is_dragged_and_facts_are_rewired(draw):
    editor = ThoughtEditor()
    page = draw(editor)
    cell = page.locator("td.bar[data-thought='2']").nth(3)
    box = cell.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 5, y)
    page.mouse.down()
    for part in (0.2, 0.4, 0.6):
        page.mouse.move(box["x"] + part * box["width"], y)
    page.mouse.up()
    settle(page)
    (share,) = editor.words[1].values()
    assert share == pytest.approx(0.6, abs=0.051)
    assert cell.locator("span").inner_text() == f"{share:.2f}"
    page.get_by_role("combobox", name="Rewire").select_option(label="facts of hop 2")
    page.get_by_role("combobox", name="from the pass").select_option(label="thought 1")
    settle(page)
    assert (editor.rewired, editor.since) == (2, 1)
    assert page.locator(".edge.gone").count() == len(editor.data["rewirings"]["2"])
    assert "hop 2 rewired from pass 1 on" in said(page)


def test_own_problems_hostile_names_and_a_page_without_a_kernel(draw):
    editor = ThoughtEditor()
    editor.text = (
        "| <b>x</b> __proto__ | __proto__ rempus | Eva numpus [Q] rempus numpus [R] <b>x</b>"
    )
    page = draw(editor)
    page.evaluate("() => { window.toPython = undefined; }")
    assert page.locator("section b:has-text('x')").count() == 0
    assert "<b>x</b>" in page.locator("table").inner_text()
    assert "no twin" in page.locator("section").inner_text()
    before = page.locator("table").inner_text()
    bar = page.get_by_role("slider", name="__proto__ in thought 1")
    bar.focus()
    page.keyboard.press("Home")
    page.get_by_text("No kernel answers").wait_for()
    assert page.locator("table").inner_text() == before and page.locator(".moved").count() == 0
