"""A kept notebook as somebody sees it who has just downloaded it: not trusted, and not run."""

from pathlib import Path

import nbformat
import pytest
from looking import PATIENCE

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def test_the_first_pictures_of_the_course_are_seen(open_page, lab) -> None:
    page, _ = open_page
    kept = nbformat.read(NOTEBOOKS / "00_start_here.ipynb", as_version=4)
    kept.metadata.title = "downloaded"  # trust goes by the content, and others trust a copy of it
    nbformat.write(kept, lab.folder / "untrusted.ipynb")
    lab.open(page, "untrusted.ipynb")
    pictures = page.locator(".jp-OutputArea-output img")
    for nth, width in enumerate((724, 350)):
        pictures.nth(nth).wait_for(timeout=PATIENCE)
        page.wait_for_function(
            "([nth, width]) => document.querySelectorAll('.jp-OutputArea-output img')[nth]"
            ".naturalWidth > width", arg=[nth, width],
        )  # fmt: skip
    assert page.locator(".coconut-stepper, .coconut-modes").count() == 0  # what trust would draw
