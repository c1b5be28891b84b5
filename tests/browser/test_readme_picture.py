"""Takes the README's picture anew, when asked to:

COCONUT_LAB_PICTURE=docs/stepper.png python -m pytest tests/browser/test_readme_picture.py
"""

import os
from pathlib import Path

import pytest
from looking import PATIENCE, TWO_FRAMES

pytestmark = pytest.mark.browser

PICTURE = os.environ.get("COCONUT_LAB_PICTURE")
PROBLEM = 21  # three hops, and both earlier frontiers hold two names
CELLS = (
    "from coconut_lab.explorers import ThoughtStepper",
    f"stepper = ThoughtStepper('tiny-coconut', problem={PROBLEM})\nstepper.thought = 2\nstepper",
)


@pytest.mark.skipif(not PICTURE, reason="COCONUT_LAB_PICTURE does not say where to put it")
def test_picture_of_the_stepper(browser, lab) -> None:
    context = browser.new_context(viewport={"width": 1340, "height": 1100}, device_scale_factor=1.5)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    lab.run(page, "picture.ipynb", *CELLS)
    page.wait_for_selector(".coconut-stepper[data-thought='2']")
    page.evaluate("() => document.fonts.ready")
    page.evaluate(TWO_FRAMES)
    path = Path(PICTURE)
    page.locator(".coconut-stepper").screenshot(path=path)
    context.close()
    assert path.stat().st_size < 300_000
