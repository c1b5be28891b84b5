"""What explorers share that are drawn in the browser: anywidget, one ES module, one style sheet.

An explorer has a folder with `data.py` (a pure function that gives a plain dictionary), `widget.py`
(traits, and what needs the model) and two plain files, `NAME.js` and `NAME.css`. The module
begins with `import { … } from "../browser/shared.js";` and ends with
`export default { render };`, where `render({ model, el })` draws `model.get("data")` into `el`.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import anywidget
import traitlets
from matplotlib.figure import Figure

from coconut_lab.explorers.picture import png

ROOM = Path(__file__).resolve().parents[1]
_IMPORT = re.compile(r'^import [^;]* from "\.{1,2}/[^;]*;\n', re.MULTILINE)


def module(*paths: str) -> str:
    """Join the shared module with others: anywidget loads one, without our imports."""
    parts = [ROOM / path for path in ("browser/shared.js", *paths)]
    return "\n".join(_IMPORT.sub("", part.read_text(encoding="utf-8")) for part in parts)


def style(*paths: str) -> str:
    """Join the shared style sheet with others."""
    parts = [ROOM / path for path in ("browser/shared.css", *paths)]
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


def large() -> Any:
    """A trait for much data, sent as text: a notebook gives each number of a list a line."""
    return traitlets.Dict().tag(
        sync=True,
        to_json=lambda value, _: json.dumps(value, ensure_ascii=False, separators=(",", ":")),
        from_json=lambda text, _: json.loads(text),
    )


def checked(proposal: Any, choices: Sequence[Any]) -> Any:
    """Give the value that a trait is to be set to, or refuse it and say what there is."""
    name, value = proposal["trait"].name, proposal["value"]
    if value not in choices:
        several = f"one of {', '.join(map(str, choices))}"
        give = f"{choices[0]} to {choices[-1]}" if isinstance(choices, range) else several
        raise traitlets.TraitError(f"{name}={value!r}; give {give}")
    return value


class BrowserExplorer(anywidget.AnyWidget):
    """An explorer that is drawn in the browser.

    A subclass sets `_esm = module("NAME/NAME.js")` and `_css = style("NAME/NAME.css")`, has a
    synchronised trait `data` and one for whatever a reader can set, and says with `_summary` what
    it shows. Where no widget can be drawn, its output falls back to `still()` and to its text.
    """

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        return f"{type(self).__name__}({self._summary()})"

    def _summary(self) -> str:
        raise NotImplementedError

    def still(self) -> str | Figure | None:
        """An `<svg>` or a figure for where no widget can be drawn, or None."""
        return None

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        if bundle is not None and (drawing := self.still()) is not None:
            svg = drawing if isinstance(drawing, Figure) else ElementTree.fromstring(drawing)
            bundle[0]["image/png"] = b64encode(png(svg)).decode()
        return bundle
