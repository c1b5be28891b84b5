"""What holds of every explorer: what notebooks keep of it, who can read it, what it loads."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator

import ipywidgets as widgets
import pytest
from explorer_models import random_checkpoint, study_of

from coconut_lab.checkpoints import shipped
from coconut_lab.explorers import CurriculumView, HaltExplorer, ThoughtStepper, TrainingMonitor
from coconut_lab.explorers.html import tag
from coconut_lab.explorers.svg import Drawing

EXPLORERS = {
    "CurriculumView(8 methods)": CurriculumView,
    "HaltExplorer(30 problems)": lambda: HaltExplorer(study_of(5), {"steps": 0.5}, rule="steps"),
    "ThoughtStepper(random, 100 problems)": lambda: ThoughtStepper(random_checkpoint()),
    "TrainingMonitor(tiny-base, 700 steps)": lambda: TrainingMonitor.from_log(
        shipped.FOLDER / "tiny-base", "tiny-base"
    ),
}
LABELLED = (widgets.IntSlider, widgets.Dropdown, widgets.BoundedIntText, widgets.Textarea,
            widgets.Button, widgets.Checkbox, widgets.ToggleButtons)  # fmt: skip


def controls(box: widgets.Box) -> Iterator[widgets.Widget]:
    for child in box.children:
        if isinstance(child, widgets.Box):
            yield from controls(child)
        else:
            yield child


@pytest.mark.parametrize(("name", "make"), EXPLORERS.items(), ids=EXPLORERS)
def test_it_repeats_speaks_without_colour_and_loads_nothing(name, make, capsys) -> None:
    view = make()
    value = view.picture.value
    assert repr(view) == view._repr_mimebundle_()["text/plain"] == name
    assert len(value) < 60_000
    assert make().picture.value == value
    assert capsys.readouterr() == ("", "")
    for svg in ET.fromstring(value).iter("{http://www.w3.org/2000/svg}svg"):
        assert svg.get("aria-hidden") == "true" or (
            svg.get("role") == "img" and svg.get("aria-label") and svg[0].text
        )
    assert all(c.description for c in controls(view) if isinstance(c, LABELLED))
    value = value.replace("http://www.w3.org/2000/svg", "")
    for sign in ("http:", "https:", "//", "url(", "<script", "<link", "<img", "<style", "@import"):
        assert sign not in value


def test_elements_hold_any_text() -> None:
    evil = "<b>\"&'\x00\ud800"
    drawing = Drawing()
    with drawing.group(class_="all", data_name=evil):
        drawing.text(1, 2.04, evil)
        drawing.rect(1, 2.04, 3, 4, class_="r", fill=None, stroke=("red", 2))
    group = ET.fromstring(drawing.picture("p", 5, 6.5, "Title", evil))[1]
    text, rect = group
    assert group.get("data-name") == text.text == "<b>\"&'\ufffd\ufffd"
    assert rect.attrib == {"class": "r", "x": "1", "y": "2.0", "width": "3", "height": "4",
                           "stroke": "red", "stroke-width": "2"}  # fmt: skip
    assert tag("td", "") == "<td></td>" and tag("br") == "<br/>"
