"""Every solution passes its checks, every untouched stub fails them; exercises are up to date."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copytree

import nbformat
import pytest
from jupyter_client import KernelManager
from make_exercises import exercise, has_solution, is_check, make, solution_source
from nbclient import NotebookClient
from nbformat import NotebookNode
from notebook_files import ROOT, read, to_text

from coconut_lab import checks

SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))

each_solution = pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.stem)


@cache
def solution(path: Path) -> NotebookNode:
    return read(path)


@cache
def kernel() -> KernelManager:
    """One kernel for all notebooks: starting one and importing torch is most of the time."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    return manager


@pytest.fixture(scope="module", autouse=True)
def _kernel_ends() -> Iterator[None]:
    yield
    if kernel.cache_info().currsize:
        kernel().shutdown_kernel(now=True)


@cache
def ran(path: Path, folder: str, allow_errors: bool) -> NotebookNode:
    """A notebook after it ran in its own folder, without a name of the one before."""
    source = solution(path) if folder == "solutions" else exercise(solution(path))
    notebook = nbformat.from_dict(source)
    fresh = nbformat.v4.new_code_cell(f"%reset -f\n%cd -q {ROOT / folder}")
    notebook.cells.insert(0, fresh)
    client = NotebookClient(notebook, km=kernel(), timeout=1800, allow_errors=allow_errors)
    client.execute()
    client.kc.stop_channels()
    assert not fresh.outputs
    del notebook.cells[0]
    return notebook


def called_checks(notebook: NotebookNode) -> list[str]:
    """The names of the functions of `checks` that the check cells call, one per call."""
    calls = [
        node.func
        for cell in notebook.cells
        if is_check(cell)
        for node in ast.walk(ast.parse(cell.source))
        if isinstance(node, ast.Call)
    ]
    return [
        call.attr
        for call in calls
        if isinstance(call, ast.Attribute) and getattr(call.value, "id", None) == "checks"
    ]


def test_every_check_is_called_by_an_exercise() -> None:
    called = {name for path in SOLUTIONS for name in called_checks(solution(path))}
    assert {*called, "CheckFailed"} == {*checks.__all__}


@each_solution
def test_every_exercise_has_its_check(path: Path) -> None:
    cells = [c for c in solution(path).cells if c.cell_type == "code"]
    answers = [c for c in cells if has_solution(c)]
    checks = [c for c in cells if is_check(c)]
    assert answers, f"{path.name}: no cell has a part between BEGIN SOLUTION and END SOLUTION"
    assert len(checks) >= len(answers), (
        f"{path.name}: {len(answers)} exercises, {len(checks)} cells tagged 'check'"
    )
    for cell in checks:
        assert len(called_checks(nbformat.from_dict({"cells": [cell]}))) == 1, (
            f"{path.name}, cell {cell.id}: a check cell calls one checks.something(...)"
        )


@each_solution
def test_every_exercise_says_how_hard_it_is_and_folds_a_hint(path: Path) -> None:
    text = "\n".join(cell.source for cell in solution(path).cells)
    parts = re.split(r"^## Exercise \d", text, flags=re.MULTILINE)[1:]
    assert len(parts) == sum(map(has_solution, solution(path).cells))
    for part in parts:
        assert re.search(r"Difficulty [●○]{5} · importance [●○]{5} · \d+ minutes", part)
        assert "<details><summary>Hint" in part


@each_solution
def test_solution_is_kept_in_its_settled_form(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == to_text(solution_source(solution(path))), (
        f"{path.name} has outputs or stray metadata: run `make exercises`"
    )


@each_solution
def test_solution_passes_its_checks(path: Path) -> None:
    ran(path, "solutions", allow_errors=False)


@each_solution
def test_exercise_shows_nothing_of_the_solution(path: Path) -> None:
    for before, after in zip(solution(path).cells, exercise(solution(path)).cells, strict=True):
        if has_solution(before):
            stub = "NotImplementedError" if before.cell_type == "code" else "YOUR ANSWER HERE"
            assert stub in after.source
        assert "SOLUTION" not in after.source


@each_solution
def test_untouched_stub_fails_its_check(path: Path) -> None:
    checks = [cell for cell in ran(path, "exercises", allow_errors=True).cells if is_check(cell)]
    for cell in checks:
        errors = [output for output in cell.outputs if output.output_type == "error"]
        assert [error.ename for error in errors] == ["CheckFailed"], (
            f"{path.name}, cell {cell.id}: on an untouched stub the check must raise CheckFailed, "
            f"not {[error.ename for error in errors] or 'pass'}\n{cell.source}"
        )


def test_exercises_are_what_the_solutions_make(tmp_path: Path) -> None:
    sources, made, kept = tmp_path / "solutions", tmp_path / "exercises", ROOT / "exercises"
    copytree(ROOT / "solutions", sources)
    make(sources, made)
    assert {p.name: p.read_bytes() for p in made.glob("*.ipynb")} == {
        p.name: p.read_bytes() for p in kept.glob("*.ipynb")
    }, "exercises/ differs from what solutions/ makes: run `make exercises`"


def test_making_twice_changes_nothing(tmp_path: Path) -> None:
    sources, made = tmp_path / "solutions", tmp_path / "exercises"
    sources.mkdir()
    cells = [
        nbformat.v4.new_code_cell("def f():\n    ### BEGIN SOLUTION\n    1\n    ### END SOLUTION"),
        nbformat.v4.new_code_cell("f()", metadata={"tags": ["check"]}),
    ]
    (sources / "a.ipynb").write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    (made).mkdir()
    (made / "gone.ipynb").write_text("an exercise whose solution was removed")
    assert len(make(sources, made)) == 3
    assert make(sources, made) == []
    answer, check = read(made / "a.ipynb").cells
    assert answer.source == "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError()"
    assert answer.metadata.nbgrader.solution
    assert check.metadata.nbgrader.grade
    assert not (made / "gone.ipynb").exists()


def test_nbgrader_takes_the_solutions_as_they_are(tmp_path: Path) -> None:
    copytree(ROOT / "solutions", tmp_path / "source" / "course")
    nbgrader = [sys.executable, "-m", "nbgrader", "generate_assignment", "course"]
    scripts = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": scripts}
    done = subprocess.run(nbgrader, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for path in SOLUTIONS:
        released = read(tmp_path / "release" / "course" / path.name)
        assert [c.source for c in released.cells] == [
            c.source for c in exercise(solution(path)).cells
        ]
