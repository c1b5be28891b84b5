"""What the README shows first is so: its program runs offline, its animation is there and small."""

from __future__ import annotations

import contextlib
import io
import re

from notebook_files import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_first_program_of_the_readme_prints_what_it_says() -> None:
    found = re.search(r"```python\n(.*?)```\n\n```\n(.*?)```", README, flags=re.DOTALL)
    assert found
    program, printed = found.groups()
    assert len(program.strip().splitlines()) <= 13
    with contextlib.redirect_stdout(io.StringIO()) as output:
        exec(program, {})
    assert output.getvalue() == printed


def test_the_animation_of_the_readme_is_there_and_small() -> None:
    (name,) = re.findall(r"!\[[^]]+\]\((docs/[\w.]+)\)", README)
    assert (ROOT / name).stat().st_size < 2_000_000
