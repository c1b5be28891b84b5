"""A stepper's picture taken apart, for the tests of the thought stepper."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from explorer_models import random_checkpoint

from coconut_lab.explorers import ThoughtStepper
from coconut_lab.tasks.prosqa import PRESETS

CHECKPOINT = random_checkpoint()
E, C = PRESETS["tiny"].entities, PRESETS["tiny"].concepts
SVG = "{http://www.w3.org/2000/svg}"


def parsed(stepper: ThoughtStepper) -> ET.Element:
    """The picture as XML: it must be well formed to be drawn as meant."""
    return ET.fromstring(stepper.picture.value)


def graph_svg(root: ET.Element) -> ET.Element:
    (found,) = root.iterfind(f".//{SVG}svg[@class='graph']")
    return found


def probabilities(root: ET.Element) -> dict[int, float]:
    return {
        int(node.get("data-node")): float(node.get("data-probability"))
        for node in graph_svg(root).iterfind(f".//{SVG}g[@class='node']")
        if node.get("data-probability") is not None
    }


def rings(root: ET.Element) -> set[int]:
    found = graph_svg(root).iterfind(f".//{SVG}rect[@class='ring']")
    return {int(ring.get("data-node")) for ring in found}


def texts(element: ET.Element) -> list[str]:
    return [found.text for found in element.iter(f"{SVG}text")]


def part(root: ET.Element, name: str) -> ET.Element:
    (found,) = root.iterfind(f".//{SVG}svg[@class='{name}']")
    return found
