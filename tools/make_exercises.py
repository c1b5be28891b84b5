"""Make `exercises/` from `solutions/`: `python tools/make_exercises.py`.

A solution notebook is the only source of its exercise. In it,

- code between `### BEGIN SOLUTION` and `### END SOLUTION` is what the learner has to write;
- a cell tagged `check` calls one function of `coconut_lab.checks`.

The exercise is the same notebook with stubs in place of solutions and without outputs. Both
carry nbgrader's metadata, so a teacher can put a solution notebook into an nbgrader course's
`source/` folder as it is.
"""

from __future__ import annotations

import copy
import sys
from pathlib import Path

from nbconvert.preprocessors import ClearOutputPreprocessor
from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions
from notebook_files import ROOT, read, tidy, to_text

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


def is_check(cell: NotebookNode) -> bool:
    """Whether a cell checks an exercise."""
    return cell.cell_type == "code" and "check" in cell.metadata.get("tags", [])


def has_solution(cell: NotebookNode) -> bool:
    """Whether a cell holds a part that the learner has to write."""
    return BEGIN in cell.source


def solution_source(notebook: NotebookNode) -> NotebookNode:
    """A solution notebook as it is kept: tidy, without outputs, with nbgrader's metadata.

    Args:
        notebook: a solution notebook.

    Returns:
        A new notebook.
    """
    notebook = copy.deepcopy(notebook)
    notebook.metadata.pop("widgets", None)
    notebook, _ = ClearOutputPreprocessor().preprocess(notebook, {})
    notebook = tidy(notebook)
    for cell in notebook.cells:
        solution, check = has_solution(cell), is_check(cell)
        if not solution and not check:
            cell.metadata.pop("nbgrader", None)
            continue
        by_hand = solution and cell.cell_type == "markdown"  # a written answer: a person grades it
        grader = {
            "grade": check or by_hand,
            "grade_id": f"{'check' if check else 'answer'}-{cell.id}",
            "locked": check,
            "schema_version": 3,
            "solution": solution,
            "task": False,
        }
        if check or by_hand:
            grader["points"] = cell.metadata.get("nbgrader", {}).get("points", 1)
        cell.metadata["nbgrader"] = grader
    return notebook


def exercise(notebook: NotebookNode) -> NotebookNode:
    """The exercise notebook of a solution notebook.

    Args:
        notebook: a solution notebook.

    Returns:
        A new notebook, with a stub in place of every solution and without outputs.

    Raises:
        RuntimeError: a solution that begins and does not end, or begins twice.
    """
    notebook = solution_source(notebook)
    notebook, _ = ClearSolutions().preprocess(notebook, {})
    return tidy(notebook)


def make(solutions: Path, exercises: Path) -> list[Path]:
    """Write an exercise for every solution, and settle the solutions' own metadata.

    Args:
        solutions: the folder of solution notebooks.
        exercises: the folder to fill; a notebook in it that has no solution is removed.

    Returns:
        The files that changed.
    """
    wanted: dict[Path, str] = {}
    for path in sorted(solutions.glob("*.ipynb")):
        source = read(path)
        wanted[path] = to_text(solution_source(source))
        wanted[exercises / path.name] = to_text(exercise(source))
    exercises.mkdir(exist_ok=True)
    changed = []
    for path, text in wanted.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(path)
    for path in exercises.glob("*.ipynb"):
        if path not in wanted:
            path.unlink()
            changed.append(path)
    return changed


def main() -> int:
    """Make the exercises of this repository."""
    changed = make(ROOT / "solutions", ROOT / "exercises")
    for path in changed:
        print(f"{path.relative_to(ROOT)}: {'written' if path.exists() else 'removed'}")
    if not changed:
        print("exercises/ is what solutions/ makes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
