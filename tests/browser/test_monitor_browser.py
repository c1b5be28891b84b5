"""The training monitor as a learner meets it: a run in JupyterLab, watched, stopped, gone on."""

import re

import pytest
from looking import fits, resize, shows

pytestmark = pytest.mark.browser

IMPORTS = """\
from pathlib import Path
from coconut_lab.explorers import TrainingMonitor
from monitored import FakeTrainer, small_trainer"""
LONG_RUN = f"""{IMPORTS}
monitor = TrainingMonitor(FakeTrainer(pause=0.02, steps=400_000))
monitor"""
PICTURE = ".coconut-monitor"
STATUS = f"{PICTURE} .status"


@pytest.fixture(scope="module")
def notebook(open_page):
    """A page for notebooks: here each test runs one of its own."""
    return open_page


def step(page):
    return int(page.locator(".coconut-monitor").get_attribute("data-step"))


def moves(page, beyond):
    page.wait_for_function(f"+document.querySelector('{PICTURE}').dataset.step > {beyond}")


def stop_button(page):
    return page.get_by_role("button", name="Stop", exact=True)


def interrupt(page):
    page.get_by_role("menuitem", name="Kernel", exact=True).click()
    page.get_by_text("Interrupt Kernel", exact=True).click()


def raised(page):
    """The cell ends with an error, so that no later one runs on a model that is not trained."""
    page.locator(".jp-OutputArea-output", has_text="KeyboardInterrupt").first.wait_for()
    page.get_by_text(re.compile(r"\| Idle")).wait_for()


def run_again(page, cell):
    """Run a cell again after a stop; the kernel may drop what is sent just after an error."""
    cell = page.locator(".jp-CodeCell").nth(cell)
    began = page.locator(f"{PICTURE}:not([data-status='stopped'])")
    while began.count() == 0:
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
        began.or_(cell.locator(".jp-InputPrompt", has_text="[ ]:")).first.wait_for()


def outputs(page):
    """What cells printed, raised or showed as text."""
    found = page.locator(f".jp-OutputArea-output:not(:has({PICTURE}))")
    return [text for text in found.all_inner_texts() if text.strip()]


def test_a_run_in_the_background_is_watched_and_stopped(page, lab) -> None:
    lab.run(page, "background.ipynb", LONG_RUN, "monitor.start()")
    shows(page, PICTURE, status="running")
    moves(page, 0)
    moves(page, step(page))  # it is drawn again and again
    assert "left at this pace" in page.locator(".coconut-monitor .pace").inner_text()
    stop_button(page).click()
    shows(page, PICTURE, status="stopped")
    at = step(page)
    said = page.locator(STATUS).inner_text()
    assert said == f"stopped at step {at:,}; run again to go on"
    assert stop_button(page).is_disabled()
    assert outputs(page) == []


def test_a_cell_that_waits_says_how_to_stop(page, lab) -> None:
    """The kernel answers no button while a cell runs; an interrupt comes through."""
    lab.run(page, "waiting.ipynb", LONG_RUN, "monitor.start()", "model = monitor.wait()")
    shows(page, PICTURE, status="running")
    moves(page, 0)
    page.get_by_text("interrupt the kernel").wait_for()
    assert stop_button(page).is_disabled()
    interrupt(page)
    shows(page, PICTURE, status="stopped")
    assert not page.get_by_text("A cell waits for this run").is_visible()
    raised(page)


def test_an_interrupt_of_the_kernel_leaves_a_run_that_goes_on(page, lab) -> None:
    """A real trainer: stopped after a step, with a checkpoint; the same cell then finishes it."""
    lab.run(
        page,
        "interrupt.ipynb",
        f"{IMPORTS}\ntrainer = small_trainer(Path('run'), 40, holds_at=20)\n"
        "monitor = TrainingMonitor(trainer)\nmonitor",
        "model = monitor.train()",
        "print('next cell ran,', type(model).__name__)",
    )
    shows(page, PICTURE, status="running")
    moves(page, 5)
    interrupt(page)
    shows(page, PICTURE, status="stopped")
    at = step(page)
    assert 5 < at <= 21
    assert page.locator(STATUS).inner_text() == f"stopped at step {at}; run again to go on"
    assert len(list(lab.folder.glob(f"run/step-{at:06d}"))) == 1
    raised(page)
    assert "next cell ran" not in "".join(outputs(page))
    run_again(page, 1)
    shows(page, PICTURE, status="done")
    assert step(page) == 160
    assert page.locator(".coconut-monitor .score").count() == 12
    page.keyboard.press("Shift+Enter")
    page.get_by_text("next cell ran, Coconut").wait_for()


def test_a_log_can_be_stepped_through(page, lab) -> None:
    lab.run(
        page,
        "log.ipynb",
        "import json\nfrom coconut_lab.checkpoints import shipped as checkpoints\n"
        "from coconut_lab.explorers import TrainingMonitor\n"
        "folder = checkpoints.FOLDER / 'tiny-coconut'\n"
        "card = json.loads((folder / 'card.json').read_text())",
        "TrainingMonitor.from_log(folder / 'log.jsonl', card['recipe'])",
    )
    shows(page, PICTURE, status="log")
    last = step(page)
    page.get_by_role("slider", name="Up to step").focus()
    page.keyboard.press("Home")
    shows(page, PICTURE, step=1)
    page.keyboard.press("ArrowRight")
    shows(page, PICTURE, step=11)
    page.keyboard.press("End")
    shows(page, PICTURE, step=last)
    assert outputs(page) == []


@pytest.mark.parametrize("width", [1280, 700])
def test_everything_fits_into_the_page(page, width) -> None:
    resize(page, width)
    fits(page, PICTURE)
