"""The package as a whole: imports run one way, modules stay small, pictures are well formed."""

import ast
from pathlib import Path
from xml.etree import ElementTree

import pytest

import coconut_lab
from coconut_lab.explorers.modes import modes_picture

PACKAGE = Path(coconut_lab.__file__).parent

#: Each module imports only from those that stand before it.
ORDER = (
    "files interrupts notation json_values graph problems draws growth shortcuts prosqa claims "
    "prontoqa arithmetic gsm8k word_problems tasks loading tokenizer curriculum cache last_layer "
    "lean recompute states coconut prompts sampling halting generation answers evaluation probing "
    "halt_study halt_training checkpoints hub recipe batches schedule material models run_folder "
    "gpus costs estimates sharding training shipping halt_building study result_views "
    "result_figures figures  explorers checks"
).split()


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("coconut_lab"):
            inner = (node.module or "").split(".")[1:]
            found |= {inner[0]} if inner else {alias.name for alias in node.names}
    return found


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_one_way(name: str) -> None:
    folder = PACKAGE / name
    files = [PACKAGE / f"{name}.py"] if not folder.is_dir() or not list(folder.glob("*.py")) else []
    for path in files or folder.rglob("*.py"):
        allowed = {*ORDER[: ORDER.index(name)], name}
        assert imported(path) <= allowed, path.name


def test_every_module_has_its_place() -> None:
    found = {path.stem for path in PACKAGE.glob("*.py")} - {"__init__"}
    found |= {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert found == set(ORDER)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.name)
def test_modules_are_small(path: Path) -> None:
    assert path.read_text(encoding="utf-8").count("\n") < 450


def test_public_names_are_there() -> None:
    for name in coconut_lab.__all__:
        assert getattr(coconut_lab, name).__doc__


def test_the_picture_of_the_modes_is_well_formed() -> None:
    root = ElementTree.fromstring(modes_picture())
    words = [element.text for element in root.iter() if element.tag.endswith("text")]
    assert {"Language mode", "Latent mode", "<bot>", "thought 2"} <= set(words)
    assert modes_picture() == modes_picture()
