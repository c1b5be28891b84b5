"""The door to `fast/` is the only one, and the method beside it is short."""

import re
from pathlib import Path

import coconut_lab

PACKAGE = Path(coconut_lab.__file__).parent


def test_the_door_is_the_only_one():
    for path in PACKAGE.rglob("*.py"):
        inside = "model/fast" in path.as_posix() or path == PACKAGE / "model/passes.py"
        uses = re.search(r"coconut_lab\.model(\.| import )fast", path.read_text(encoding="utf-8"))
        assert inside or not uses, path.relative_to(PACKAGE)


def test_the_method_is_short():
    text = (PACKAGE / "model" / "coconut.py").read_text(encoding="utf-8")
    assert text.count("\n") <= 150
