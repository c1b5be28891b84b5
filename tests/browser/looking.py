"""How the browser tests look at a page: its pictures, what does not fit into it."""

# Each wait ends as soon as the page shows what it waits for; a busy machine may take long.
PATIENCE = 300_000  # milliseconds

# Whether every label and button is whole, and no part of a picture sticks out of its card.
FITS = """
([picture, slack]) => {
  const shown = '.jp-OutputArea-output';
  const cut = [...document.querySelectorAll(`${shown} .widget-label, ${shown} button`)]
    .filter(e => e.offsetParent && e.scrollWidth > e.clientWidth + 1);
  const card = document.querySelector(picture).getBoundingClientRect();
  const outside = [...document.querySelectorAll(`${picture} *`)]
    .filter(e => !e.parentElement.closest('.scrolling'))
    .filter(e => {
      const r = e.getBoundingClientRect();
      return r.width && (r.left < card.left || r.right > card.right + slack);
    });
  window.sticksOut = [...cut, ...outside].map(e => e.outerHTML.slice(0, 200));
  return window.sticksOut.length === 0;
}
"""
TWO_FRAMES = "() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"


def shows(page, picture, **data):
    """Wait until a picture (a selector) carries these `data-` attributes."""
    page.wait_for_selector(picture + "".join(f"[data-{k}='{v}']" for k, v in data.items()))


def resize(page, width):
    """Give the page another width, and let it draw itself."""
    page.set_viewport_size({"width": width, "height": 1000})
    page.evaluate(TWO_FRAMES)


def fits(page, picture, slack=1):
    """Wait until no label is cut off and nothing sticks out of a card to its right by `slack`.

    What is in a part that scrolls is left out.
    """
    from playwright.sync_api import TimeoutError as Late

    try:
        page.wait_for_function(FITS, arg=[picture, slack])
    except Late:
        raise AssertionError(page.evaluate("window.sticksOut")) from None
