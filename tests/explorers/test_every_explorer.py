"""What holds of every explorer: what notebooks keep of it, who can read it, what it loads."""

import xml.etree.ElementTree as ET
from base64 import b64decode
from io import BytesIO

import pytest
from explorer_models import study_of
from matplotlib.image import imread

from coconut_lab.explorers import CurriculumView, HaltExplorer, Picture
from coconut_lab.explorers.svg import Drawing, tag


def test_a_figure_stands_in_for_an_explorer() -> None:
    for view in (CurriculumView(), HaltExplorer(study_of(5))):
        data, _ = view._repr_mimebundle_()
        still = imread(BytesIO(b64decode(data["image/png"])), format="png")
        assert still.shape[1] > 500 and still[:, :, :3].min() < 0.2


def test_a_png_shows_what_the_svg_shows() -> None:
    drawing = Drawing()
    drawing.rect(0, 0, 40, 20, fill="#ff0000")
    with drawing.group(transform="translate(10 0)"):
        drawing.rect(32, 2, 16, 16, fill="#00ff00", stroke=("#000000", 2))
        drawing.polygon((60, 0), (80, 0), (80, 20), fill="#0000ff")
    drawing.path("M2 30H38V38h-36Z", fill="#ffff00")
    drawing.text(50, 38, "$x<\u2603\u0e01", size=14)
    picture = Picture(drawing.picture("p", 100, 40, "Title", "said"))
    pixels = imread(BytesIO(picture._repr_png_()), format="png")[:, :, :3]
    colours = {(20, 10): (1, 0, 0), (50, 10): (0, 1, 0), (85, 5): (0, 0, 1), (72, 15): (1, 1, 1),
               (20, 34): (1, 1, 0), (45, 25): (1, 1, 1), (50, 2): (0, 0, 0)}  # fmt: skip
    for (x, y), colour in colours.items():
        assert tuple(pixels[int(1.5 * y), int(1.5 * x)]) == pytest.approx(colour, abs=0.3), (x, y)
    assert pixels[42:60, 75:100].min() < 0.5  # letters
    assert picture._repr_svg_() == picture.svg and repr(picture) == "Picture(p)"


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
