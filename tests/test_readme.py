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


def test_what_the_pages_link_to_is_there() -> None:
    for page in (ROOT / "README.md", ROOT / "GLOSSARY.md", ROOT / "docs/teaching.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("https://") or (page.parent / target).exists(), target


def test_a_term_of_the_glossary_is_in_the_notebook_that_it_names() -> None:
    rows = re.findall(r"^\| (.+?) \| .+ \| ([\d, ]+) \|$", (ROOT / "GLOSSARY.md").read_text(), re.M)
    assert len(rows) > 30
    for term, chapters in rows:
        for chapter in chapters.split(", "):
            for path in (ROOT / "notebooks").glob(f"{chapter}_*.ipynb"):
                text = path.read_text(encoding="utf-8").lower()
                words = re.split(r", | as a | k$", term.lower())
                assert any(word.strip("`$") in text for word in words if word), (term, chapter)
