"""What holds of every explorer in a real browser: who can use it, what it costs, what is kept."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from axe_playwright_python.sync_playwright import Axe
from bare import SKIPPED, settle, show
from looking import TWO_FRAMES

from coconut_lab import explorers

pytestmark = pytest.mark.browser
NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
IMPORTS = """\
from coconut_lab.checkpoints import shipped
from coconut_lab.explorers import *
from explorer_models import random_checkpoint, study_of"""
MADE = {
    "ThoughtStepper": "(random_checkpoint())",
    "SearchTree": "(problem=5)",
    "ModelComparison": "()",
    "ThoughtEditor": "()",
    "TrainingMonitor": ".from_log(shipped.FOLDER / 'tiny-coconut', 'tiny-coconut')",
    "HaltExplorer": "(study_of(5))",
    "CurriculumView": "()",
}
every_explorer = pytest.mark.parametrize("name", MADE)
CELLS = (IMPORTS, *(name + how for name, how in MADE.items()))
NOTEBOOK, PICTURE = "every.ipynb", f":nth-match(.coconut-explorer, {len(MADE)})"


def made(name):
    space = {}
    exec(IMPORTS, space)
    return eval(name + MADE[name], space)


def test_none_is_left_out() -> None:
    assert {name for name in explorers.__all__ if name != "Picture"} == set(MADE)


@every_explorer
def test_axe_finds_nothing_serious(draw, name) -> None:
    page = draw(made(name))
    found = Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert serious == [], [node["failureSummary"] for one in serious for node in one["nodes"]]


# --- many moves -----------------------------------------------------------------------------------

KEYS = "ArrowLeft ArrowRight ArrowUp ArrowDown Home End Enter Space Escape Tab PageUp".split()
# All that a hand can reach, but what goes on by itself.
REACH = "[...document.querySelectorAll('button:not(.play), select, input, g[tabindex], summary, " \
    "[role=img][tabindex]')].filter((e) => e.checkVisibility())"  # fmt: skip
ACT = f"""async (moves) => {{ for (const [kind, at] of moves) {{
  const all = {REACH}, one = all[at % all.length], bubbles = true;
  if (kind === 'press') one.dispatchEvent(new MouseEvent('click', {{ bubbles }}));
  else if (kind === 'point') one.dispatchEvent(new PointerEvent('pointerover', {{ bubbles }}));
  else if (one.matches('select')) {{
    one.selectedIndex = at % one.options.length;
    one.dispatchEvent(new Event('change', {{ bubbles }}));
  }} else one.focus();
  await new Promise(requestAnimationFrame);
}} }}"""
# What is drawn, without what a hand is doing now.
DRAWN = """() => {
  document.activeElement.blur();
  const doing = ['lit', 'from', 'pointing'], own = ['tabindex', 'name', 'aria-expanded', 'open'];
  return [...document.querySelectorAll('.coconut-explorer, .coconut-explorer *')]
    .filter((e) => !e.closest('.detail, textarea, .alert')).map((e) => [
      e.tagName, [...e.classList].filter((one) => !doing.includes(one)).sort().join(' '),
      ...e.style.cssText.split(';').map((s) => s.trim()).sort(),
      ...e.getAttributeNames().filter((one) => !['class', 'style', ...own].includes(one)).sort()
        .map((one) => `${one}=${e.getAttribute(one)}`),
      e.children.length ? '' : e.textContent].join(' ')); }"""


def size(page):
    """Nodes, listeners and bytes of the page, after rubbish is collected."""
    chrome = page.context.new_cdp_session(page)
    chrome.send("HeapProfiler.collectGarbage")
    chrome.send("Performance.enable")
    found = {one["name"]: one["value"] for one in chrome.send("Performance.getMetrics")["metrics"]}
    chrome.detach()
    return [found[key] for key in ("Nodes", "JSEventListeners", "JSHeapUsedSize")]


@every_explorer
@pytest.mark.parametrize("draw", [(1280, True)], ids=["wide-light"], indirect=True)
def test_many_random_moves_leave_no_message_and_do_not_grow(draw, name) -> None:
    widget, rng, sizes = made(name), random.Random(name), []
    page = draw(widget)
    for turn in range(100 if name == "ThoughtStepper" else 20):  # five moves each
        page.keyboard.press(rng.choice(KEYS))
        kinds = rng.choices(["press", "point", "choose"], k=4)
        page.evaluate(ACT, [[kind, rng.randrange(1000)] for kind in kinds])
        settle(page)  # a kernel hears one thing after the other
        if "index" in widget.keys and turn % 10 == 0:
            widget.index = rng.randrange(4)
        if turn % 10 == 9:
            sizes.append(size(page))
    page.mouse.move(1, 1)
    settle(page)
    for before, after, more in zip(sizes[0], sizes[-1], (2000, 500, 2e6), strict=True):
        assert after < 1.5 * before + more
    keys = [key for key in widget.keys if not key.startswith("_") and key not in SKIPPED]
    for key, held in widget.get_state(keys).items():
        assert page.evaluate("key => window.model.get(key)", key) == held, key
    drawn = page.evaluate(DRAWN)
    assert page.evaluate("window.end()") is None
    show(page, widget)  # anew, from what Python holds
    settle(page)
    assert page.evaluate(DRAWN) == drawn


# --- in JupyterLab --------------------------------------------------------------------------------


def test_lists_are_worked_by_keyboard_and_no_key_reaches_the_notebook(page) -> None:
    cells = page.locator(".jp-Cell").count()
    for at in range(len(MADE)):
        explorer = page.locator(".coconut-explorer").nth(at)
        lists = explorer.locator("select").filter(visible=True)
        if lists.count():
            one = lists.first
            value, last = one.evaluate("e => [e.value, e.selectedIndex + 1 === e.options.length]")
            one.focus()
            page.keyboard.press("ArrowUp" if last else "ArrowDown")
            assert one.evaluate("e => e.value") != value
        for place in (
            explorer.locator("select, input, button, [tabindex='0']").filter(visible=True).all()
        ):
            place.focus()
            for key in "xddbaz":  # cut, delete, insert above and below, undo, in a notebook
                page.keyboard.press(key)
    page.evaluate(TWO_FRAMES)
    assert page.locator(".jp-Cell").count() == cells


def test_a_notebook_that_is_saved_keeps_its_explorers(page, lab) -> None:
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_text("Save Notebook", exact=True).click()
    widgets = {}
    while not widgets:
        page.wait_for_timeout(50)
        widgets = nbformat.read(lab.folder / NOTEBOOK, as_version=4).metadata.get("widgets", {})
    (kept,) = widgets.values()
    names = [one["state"].get("_anywidget_id", "").split(".")[-1] for one in kept["state"].values()]
    assert sorted(filter(None, names)) == sorted(MADE)


KEPT = {"00_start_here": "stepper", "03_curriculum": "curriculum", "04_training": "monitor",
        "05_inference": "halt"}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_a_kept_notebook_steps_before_any_cell_is_run(open_page, lab, name) -> None:
    page, faults = open_page
    path = lab.folder / f"kept_{name}.ipynb"
    shutil.copy(NOTEBOOKS / f"{name}.ipynb", path)
    home = lab.folder.parent
    where = {"JUPYTER_DATA_DIR": str(home / "data"), "JUPYTER_CONFIG_DIR": str(home / "config")}
    subprocess.run(
        [sys.executable, "-m", "jupyter", "trust", path], env=os.environ | where, check=True
    )
    lab.open(page, path.name)
    explorer = page.locator(f".coconut-{KEPT[name]}").first
    explorer.wait_for()
    slider = explorer.get_by_role("slider").first
    before = slider.get_attribute("aria-valuetext")
    slider.focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert slider.get_attribute("aria-valuetext") != before
    sign = "e => getComputedStyle(e.parentElement, '::before').display"
    assert explorer.evaluate(sign) == "none"  # JupyterLab's red broken link
    assert faults == []
