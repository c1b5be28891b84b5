"""How the browser tests look at a page: its sliders, its pictures, what does not fit into it."""

from __future__ import annotations

import re

# Labels and buttons that are cut off.
CUT = """
() => [...document.querySelectorAll('.jp-OutputArea-output .widget-label, '
       + '.jp-OutputArea-output button')]
  .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)
"""
# How many parts of a picture stick out of its card.
OUTSIDE = """
([picture, slack]) => {
  const card = document.querySelector(picture).getBoundingClientRect();
  return [...document.querySelectorAll(`${picture} *`)]
    .filter(e => !e.parentElement.closest('.scrolling'))
    .map(e => e.getBoundingClientRect())
    .filter(r => r.width && (r.left < card.left || r.right > card.right + slack)).length;
}
"""


def slider(page, label):
    """The slider with this label, and a number behind it."""
    box = page.locator(".widget-slider").filter(has_text=re.compile(rf"^{label}\s*\d"))
    return box.get_by_role("slider")


def shows(page, picture, seconds=10, **data):
    """Wait until a picture (a selector) carries these `data-` attributes."""
    wanted = "".join(f"[data-{name}='{value}']" for name, value in data.items())
    page.wait_for_selector(f"{picture}{wanted}", timeout=1000 * seconds)


def cut(page):
    """What the labels and buttons say that are cut off."""
    return page.evaluate(CUT)


def outside(page, picture, slack=1):
    """How many parts of a picture stick out of its card, by more than `slack` pixels to the right.

    What stands in a part that scrolls is left out.
    """
    return page.evaluate(OUTSIDE, [picture, slack])
