"""What the explorers share as widgets: controls above a picture, and how a control is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import ipywidgets as widgets


class Explorer(widgets.VBox):
    """Controls above a picture.

    A subclass fills `children`, says with `_summary` what it shows, and draws with `_draw`.

    Attributes:
        picture: the drawing, an `HTML` widget.
    """

    def __init__(self) -> None:
        super().__init__()
        self.picture = widgets.HTML(layout={"width": "auto"})
        self.layout.max_width = "1004px"
        self._held = False

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        return f"{type(self).__name__}({self._summary()})"

    def _summary(self) -> str:
        raise NotImplementedError

    def _draw(self) -> None:
        raise NotImplementedError

    def _on(self, control: Any, act: Callable[[Any], object]) -> None:
        """Call `act` with every new value of a control, unless changes are held back."""
        control.observe(lambda change: None if self._held else act(change.new), "value")

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Change several controls for one picture: none of them acts by itself."""
        self._held = True
        try:
            yield
        finally:
            self._held = False


def control(
    kind: Any, name: str, tooltip: str, width: str, *, shrinks: bool = False, **traits: Any
) -> Any:
    """Make a control with its whole label; if it `shrinks`, it is never wider than the page."""
    layout = {"width": width} | ({"max_width": "100%"} if shrinks else {})
    whole = {"description_width": "initial"}
    return kind(description=name, tooltip=tooltip, layout=layout, style=whole, **traits)


def button(name: str, tooltip: str, width: str, press: Callable[[], object], **more: Any) -> Any:
    """Make a button."""
    made = widgets.Button(description=name, tooltip=tooltip, layout={"width": width}, **more)
    made.on_click(lambda _: press())
    return made


def row(*controls: Any, gap: int = 20) -> widgets.HBox:
    """Put controls side by side, and below each other where there is no room."""
    flow = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": f"4px {gap}px"}
    return widgets.HBox(controls, layout=flow)
