"""Films the README's animation anew, when asked to:

COCONUT_LAB_PICTURE=docs/stepper.webp python -m pytest tests/browser/test_readme_picture.py
"""

from __future__ import annotations

import io
import os
from typing import Any

import pytest
from looking import PATIENCE, TWO_FRAMES
from make_site import make
from PIL import Image, ImageOps

pytestmark = pytest.mark.browser

PICTURE = os.environ.get("COCONUT_LAB_PICTURE")
FACT = "Every yumpus is a rempus"  # on the only path to the answer
# Without the lists that choose something else, and with a pointer that screenshots show.
STYLE = """
.coconut-stepper .tools { display: none; }
.coconut-stepper * { transition: none !important; }
#pointer { position: fixed; top: 0; left: 0; z-index: 9; pointer-events: none;
  width: 17px; height: 24px; background: #000;
  clip-path: polygon(0 0, 0 85%, 24% 66%, 40% 100%, 56% 92%, 41% 60%, 72% 60%); }
"""


@pytest.mark.skipif(not PICTURE, reason="COCONUT_LAB_PICTURE does not say where to put it")
def test_animation_of_a_fact_clicked_away_and_of_the_other_root(browser, tmp_path) -> None:
    make(tmp_path / "site", [])
    page = browser.new_page(viewport={"width": 1100, "height": 1100}, device_scale_factor=1.5)
    page.set_default_timeout(PATIENCE)
    page.goto((tmp_path / "site" / "index.html").as_uri())
    page.add_style_tag(content=STYLE)
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<i id=pointer></i>')")
    explorer = page.locator(".coconut-stepper")
    frames, times = [], []

    def film(milliseconds: int) -> None:
        page.evaluate(TWO_FRAMES)
        frames.append(Image.open(io.BytesIO(explorer.screenshot())).convert("RGB"))
        times.append(milliseconds)

    def move(x: float, y: float) -> None:
        page.mouse.move(x, y)
        page.evaluate("([x, y]) => (pointer.style.translate = `${x}px ${y}px`)", [x, y])

    def step_through(milliseconds: int) -> None:
        for thought in (1, 2, 3):
            page.evaluate(f"explorers[0].set('thought', {thought})")
            film(milliseconds)
        times[-1] = 2000

    def click(element: Any) -> None:
        """Move there from a place beside the graph, rest, click, and move away."""
        box = element.bounding_box()
        to_x, to_y = box["x"] + box["width"] * 0.6, box["y"] + box["height"] * 0.6
        for step in range(1, 9):
            move(x + (to_x - x) * step / 8, y + (to_y - y) * step / 8)
            film(60)
        times[-1] = 700
        element.click()
        move(to_x, to_y)
        film(1800)
        move(x, y)

    x, y = 700, 195
    move(x, y)
    step_through(900)
    click(page.locator(".facts").get_by_role("button", name=FACT))
    step_through(1200)
    page.keyboard.press("Escape")
    click(page.locator("g.node[data-node='1']"))
    step_through(1200)
    page.close()
    lowest = max(frame.height for frame in frames)  # a longer sentence makes the card higher
    frames = [
        ImageOps.pad(frame, (frame.width, lowest), color="white", centering=(0, 0))
        for frame in frames
    ]
    frames[0].save(
        PICTURE, save_all=True, append_images=frames[1:], duration=times, loop=0,
        lossless=True, method=6,
    )  # fmt: skip
