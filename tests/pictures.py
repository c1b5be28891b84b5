"""Takes pictures of explorers apart; they must be well formed to be drawn as meant."""

import xml.etree.ElementTree as ET


def parsed(picture) -> ET.Element:
    """The root of a picture: given as text, or as the explorer that shows it."""
    if isinstance(picture, ET.Element):
        return picture
    return ET.fromstring(picture if isinstance(picture, str) else picture.picture.value)


def every(picture, name: str) -> list[ET.Element]:
    """The elements of a class."""
    return parsed(picture).findall(f".//*[@class='{name}']")


def part(picture, name: str) -> ET.Element:
    """The one element of a class."""
    (found,) = every(picture, name)
    return found


def said(picture, name: str) -> str:
    return "".join(part(picture, name).itertext())


def texts(element: ET.Element) -> list[str]:
    return [found.text for found in element.iterfind(".//{*}text")]
