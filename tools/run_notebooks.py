"""Run notebooks from top to bottom and keep their outputs.

    python tools/run_notebooks.py notebooks/*.ipynb

An error stops the run, and the notebook's file stays as it was. What differs from run to run
(times, ids of widgets, the Python version) is not written.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from notebook_files import read, settle_widgets, tidy, to_text

CELL_LIMIT = 60.0  # seconds that a cell, and
NOTEBOOK_LIMIT = 180.0  # seconds that a notebook may take on two cores


def run(path: Path, timeout: int = 300) -> tuple[NotebookNode, dict[int, float]]:
    """Run one notebook in a fresh kernel, in the notebook's own folder.

    Args:
        path: the notebook.
        timeout: seconds that one cell may take before it is interrupted.

    Returns:
        The notebook with its outputs, and the seconds of every code cell by its index.

    Raises:
        CellExecutionError: a cell raised, and is not tagged `raises-exception`.
    """
    notebook = read(path)
    started: dict[int, float] = {}
    seconds: dict[int, float] = {}

    def start(cell: NotebookNode, cell_index: int) -> None:
        started[cell_index] = time.perf_counter()

    def stop(cell: NotebookNode, cell_index: int, execute_reply: dict[str, object]) -> None:
        seconds[cell_index] = time.perf_counter() - started[cell_index]

    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_execute=start,
        on_cell_executed=stop,
    ).execute()
    return settle_widgets(tidy(notebook), path.stem), seconds


def main() -> int:
    """Run the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("notebooks", nargs="+", type=Path)
    for path in parser.parse_args().notebooks:
        print(f"{path}: running", flush=True)
        try:
            notebook, seconds = run(path)
        except CellExecutionError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
        path.write_text(to_text(notebook), encoding="utf-8", newline="\n")
        slowest = max(seconds, key=lambda index: seconds[index], default=None)
        note = "" if slowest is None else f", slowest cell [{slowest}] {seconds[slowest]:.1f} s"
        print(f"{path}: {sum(seconds.values()):.1f} s{note}, {path.stat().st_size:,} bytes")
        for index, length in seconds.items():
            if length > CELL_LIMIT:
                print(f"{path}: cell [{index}] is over {CELL_LIMIT:.0f} s", file=sys.stderr)
        if sum(seconds.values()) > NOTEBOOK_LIMIT:
            print(f"{path}: over {NOTEBOOK_LIMIT:.0f} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
