"""Reading and writing notebooks so that the same content always gives the same bytes."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[1]

WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"

KERNELSPEC = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE_INFO = {
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
# What the course means by a cell's metadata. The rest (times, folds, editor state) goes.
KEPT_CELL_METADATA = {"deletable", "editable", "jupyter", "nbgrader", "tags"}


def read(path: Path) -> NotebookNode:
    """Read a notebook file.

    Args:
        path: a `.ipynb` file of format 4.

    Returns:
        The notebook.

    Raises:
        ValueError: the file holds no valid notebook; the message names the file.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise ValueError(f"{path}: no valid notebook: {error}") from error
    return notebook


def to_text(notebook: NotebookNode) -> str:
    """The text of a notebook file: sorted keys, one space of indent, a newline at the end."""
    nbformat.validate(notebook)
    return nbformat.writes(notebook, version=nbformat.NO_CONVERT).rstrip("\n") + "\n"


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run and from machine to machine; change nothing else.

    Args:
        notebook: changed in place.

    Returns:
        The same notebook: kernel `python3`, no Python version, every cell with an id, only the
        metadata that the course uses, text of one stream in one piece.
    """
    widgets = notebook.metadata.get("widgets")
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": KERNELSPEC, "language_info": LANGUAGE_INFO}
    )
    if widgets:
        notebook.metadata["widgets"] = widgets
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    for number, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{number:02d}")
        kept = {key: cell.metadata[key] for key in cell.metadata if key in KEPT_CELL_METADATA}
        cell.metadata = nbformat.from_dict({key: kept[key] for key in kept if kept[key] != []})
        if cell.cell_type == "code":
            cell.outputs = _joined_streams(cell.outputs)
    return notebook


def _joined_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring pieces of one stream become one: how text is cut is a matter of timing."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else None
        if (
            last is not None
            and output.output_type == last.output_type == "stream"
            and output.name == last.name
        ):
            last.text += output.text
        else:
            joined.append(output)
    for output in joined:
        if output.output_type == "stream":  # a carriage return takes back the line before it
            output.text = re.sub(r"^.*\r(?=[^\n])", "", output.text, flags=re.MULTILINE)
    return joined


def settle_widgets(notebook: NotebookNode, name: str, limit: int = 300_000) -> NotebookNode:
    """Give the widgets of a run notebook ids that are the same in every run.

    The state of the widgets is kept, so that a reader sees them before running anything. Where
    it is larger than the limit, it goes, and the outputs fall back to their text.

    Args:
        notebook: changed in place.
        name: what the ids are made from; the notebook's name.
        limit: the most characters that the state may have.

    Returns:
        The notebook; a new one where ids changed.
    """
    state: dict[str, Any] = notebook.metadata.get("widgets", {}).get(WIDGET_STATE, {})
    if len(str(state)) > limit:
        del notebook.metadata["widgets"]
        for cell in notebook.cells:
            for output in cell.get("outputs", []):
                output.get("data", {}).pop(WIDGET_VIEW, None)
        return notebook
    models = state.get("state", {})  # in the order of creation
    new_ids = {
        old: hashlib.sha256(f"{name} {number}".encode()).hexdigest()[:32]
        for number, old in enumerate(models)
    }
    if not new_ids:
        return notebook
    text = nbformat.writes(notebook, version=nbformat.NO_CONVERT)
    text = re.sub("|".join(map(re.escape, new_ids)), lambda match: new_ids[match[0]], text)
    return nbformat.reads(text, as_version=nbformat.NO_CONVERT)
