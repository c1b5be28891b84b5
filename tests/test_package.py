"""The package as a whole: imports run one way, modules stay small, pictures are well formed."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

import coconut_lab
from coconut_lab.explorers.modes import modes_picture

PACKAGE = Path(coconut_lab.__file__).parent

#: The rooms of the package; each imports only from itself and those before it.
ROOMS = (
    "errors files tables tasks curriculum model checkpoints inference interpretability training "
    "study figures explorers checks"
).split()


def imported(path: Path) -> set[str]:
    """The modules of the package that a file imports, as paths from the package on."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("coconut_lab"):
            inner = (node.module or "").split(".")[1:]
            found |= {"/".join(inner)} if inner else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
            found |= {n.split(".", 1)[1].replace(".", "/") for n in names if "coconut_lab." in n}
    return found


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def test_every_module_is_in_a_room() -> None:
    assert {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_imports_run_one_way_between_rooms(room: str) -> None:
    allowed = ROOMS[: ROOMS.index(room) + 1]
    for path in PACKAGE.rglob("*.py"):
        if room_of(path) == room:
            wrong = {name for name in imported(path) if name.split("/")[0] not in allowed}
            assert not wrong, path.relative_to(PACKAGE)


def test_every_room_says_what_it_is_for() -> None:
    for path in PACKAGE.rglob("__init__.py"):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_modules_are_small(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") < 450


def test_public_names_are_there() -> None:
    for name in coconut_lab.__all__:
        assert getattr(coconut_lab, name).__doc__


def test_the_picture_of_the_modes_is_well_formed() -> None:
    root = ElementTree.fromstring(modes_picture().svg)
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"Language mode", "Latent mode", "<bot>", "thought 2"} <= set(words)
