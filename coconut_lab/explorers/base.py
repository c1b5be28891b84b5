"""What the explorers share as widgets: controls above a picture, and how a control is made."""

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import ipywidgets as widgets

from coconut_lab.explorers.picture import png


class Explorer(widgets.VBox):
    """Controls above a picture; a subclass fills `children` and names in `_summary` what it shows.

    Attributes:
        picture: the drawing, an `HTML` widget; `picture.value` is `render(state)`.
    """

    def __init__(self, render: Callable[[Any], str]) -> None:
        super().__init__()
        self.picture = widgets.HTML(layout={"width": "auto"})
        self.layout.max_width = "1004px"
        self._render, self._held = render, False

    def __repr__(self) -> str:
        # Short and the same in every run: notebooks keep it as the text of their output.
        return f"{type(self).__name__}({self._summary()})"

    def _repr_png_(self) -> bytes | None:
        """Draw what a notebook shows without a kernel: the first drawing on the card."""
        drawing = ElementTree.fromstring(self.picture.value).find(".//*[@role='img']")
        return None if drawing is None else png(drawing)

    def _summary(self) -> str:
        raise NotImplementedError

    def _show(self, state: Any) -> None:
        self.state = state
        self.picture.value = self._render(state)

    def _on(self, control: Any, act: Callable[[Any], object]) -> None:
        """Call `act` with every new value of a control that a user gives it."""
        control.observe(lambda change: None if self._held else act(change.new), "value")

    def _move(self, slider: Any, last: int, value: int) -> None:
        """Give a slider another end and another value, as a consequence of something else."""
        self._held = True
        slider.value = min(slider.value, last)
        slider.max = last
        slider.value = value
        self._held = False


def control(kind: Any, name: str, tooltip: str | None, width: str, **traits: Any) -> Any:
    """Make a control with its whole label; `layout` and `style` may say more."""
    layout = {"width": width} | traits.pop("layout", {})
    style = {"description_width": "initial"} | traits.pop("style", {})
    return kind(description=name, tooltip=tooltip, layout=layout, style=style, **traits)


def slider(name: str, tip: str, width: str, low: int, high: int, value: int, **more: Any) -> Any:
    """Make a slider that is never wider than the page."""
    traits = {"min": low, "max": high, "value": value, "layout": {"max_width": "100%"}} | more
    return control(widgets.IntSlider, name, tip, width, **traits)


def button(name: str, tooltip: str, width: str, press: Callable[[], object], **more: Any) -> Any:
    """Make a button."""
    made = widgets.Button(description=name, tooltip=tooltip, layout={"width": width}, **more)
    made.on_click(lambda _: press())
    return made


def row(*controls: Any, gap: int = 20) -> widgets.HBox:
    """Put controls side by side, and below each other where there is no room."""
    flow = {"flex_flow": "row wrap", "align_items": "center", "grid_gap": f"4px {gap}px"}
    return widgets.HBox(controls, layout=flow)
