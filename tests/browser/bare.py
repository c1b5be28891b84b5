"""An explorer in a bare page, without JupyterLab: its module, its style, and Python's answers."""

from __future__ import annotations

import json
from typing import Any

# As anywidget's model: what is set goes to Python with `save_changes`, what Python sets comes back.
PAGE = """<!doctype html><html lang="en" data-jp-theme-light="%(light)s"><meta charset="utf-8">
<title>explorer</title><style>body { margin: 16px; background: Canvas; } %(css)s</style>
<body data-jp-theme-light="%(light)s"><main id="here"></main><script type="module">
%(esm)s
const state = %(state)s, heard = {};
const put = (name, value) => {
  if (JSON.stringify(state[name]) === JSON.stringify(value)) return;
  state[name] = value;
  for (const f of heard[`change:${name}`] ?? []) f();
};
let changed = {};
window.unheard = 0;
window.model = {
  get: (name) => state[name],
  set: (name, value) => { changed[name] = value; put(name, value); },
  save_changes: async () => {
    const sent = changed;
    changed = {};
    window.unheard += 1;
    await window.toPython?.(sent);
    window.unheard -= 1;
  },
  on: (name, f) => (heard[name] ??= new Set()).add(f),
  off: (name, f) => heard[name]?.delete(f),
};
window.fromPython = (values) => Object.entries(values).forEach(([name, value]) => put(name, value));
window.end = explorer.render({ model: window.model, el: document.getElementById("here") });
</script></body></html>"""


def show(page: Any, widget: Any, *, light: bool = True, connected: bool = True) -> None:
    """Draw a widget in a page; with `connected`, what the page sets is set in Python, and back."""
    keys = [key for key in widget.keys if not key.startswith("_") and key not in SKIPPED]

    def to_page(change: Any) -> None:
        page.evaluate("values => window.fromPython(values)", {change.name: change.new})

    waiting: list[dict[str, Any]] = []

    def to_python(values: dict[str, Any]) -> None:
        # One after the other, as a kernel does: Playwright would begin one within another.
        waiting.append(values)
        if len(waiting) > 1:
            return
        while waiting:
            with widget.hold_trait_notifications():
                for name, value in waiting[0].items():
                    setattr(widget, name, value)
            del waiting[0]

    if connected and not getattr(widget, "in_page", False):
        page.expose_function("toPython", to_python)
        widget.observe(to_page, keys)
        widget.in_page = True
    esm = widget._esm.replace("export default", "const explorer =").replace("export ", "")
    state = json.dumps(widget.get_state(keys))
    markup = PAGE % {
        "css": widget._css,
        "esm": esm,
        "state": state.replace("<", "\\u003c"),
        "light": str(light).lower(),
    }
    page.set_content(markup)


def settle(page: Any) -> None:
    """Wait until Python has heard of everything that was set in the page, and the page drew it."""
    while page.evaluate("window.unheard"):
        page.wait_for_timeout(5)
    page.evaluate("() => new Promise(requestAnimationFrame)")


SKIPPED = {"layout", "tooltip", "tabbable", "comm"}
