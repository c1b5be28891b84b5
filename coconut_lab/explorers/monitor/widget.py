"""The training monitor: watch a run while it trains, stop it, look at one that is over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from concurrent.futures import Future
from itertools import pairwise
from pathlib import Path
from typing import Any

import ipywidgets as widgets

from coconut_lab.explorers.base import Explorer, button, row, slider
from coconut_lab.explorers.monitor.drawing import render
from coconut_lab.explorers.monitor.state import MonitorState, Plan, Status, read_entry, read_log
from coconut_lab.training.recipe import Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.trainer import Trainer

REDRAW_SECONDS = 0.25
_HINT = "A cell waits for this run: to stop it, interrupt the kernel (■ in the toolbar)."


class TrainingMonitor(Explorer):
    """Shows a training run: stage, progress, loss, accuracy per number of thoughts, time left.

    Display it, then call `train()` for a cell that lasts as long as the training: an interrupt of
    the kernel stops it. Or call `start()` for a cell that returns at once: the Stop button stops
    it. While any cell runs the kernel answers no button, so then the monitor says to interrupt.
    Either way the run ends after its current step, with a checkpoint, and calling again goes on.

    Args:
        trainer: the `Trainer`, or None for a run that is over (see `from_log`).
        plan: what the run does, if there is no trainer.

    Attributes:
        state: what is drawn now, a `MonitorState`.
        trainer: the trainer.
        stop_button: ends a run in the background.
        hint: an `HTML` widget: how else a run can be stopped.
        upto: with `from_log`, the slider over the steps.

    Raises:
        ValueError: neither a trainer nor a plan.
    """

    def __init__(self, trainer: Trainer | None = None, *, plan: Plan | None = None) -> None:
        super().__init__(render)
        if trainer is not None:
            plan = Plan.of(trainer.recipe)
        if plan is None:
            raise ValueError("there is nothing to monitor; give a trainer, or use from_log")
        self.trainer: Any = trainer
        self.plan = plan
        self._entries = self._logged()
        self._status, self._message = Status.READY, ""
        self._fresh = False  # whether this session has not logged yet
        self._asked = threading.Event()
        self._ending: Future[Any] | None = None  # what the run that `start` began gives or raises
        self._blocking = False  # whether a cell lasts as long as the run
        self._drawn = 0.0
        self._drawing = threading.RLock()  # training and the button come from two threads
        tooltip = "End after this step, with a checkpoint"
        self.stop_button = button("Stop", tooltip, "100px", self.stop, disabled=True)
        self.hint = widgets.HTML()
        self.children = [row(self.stop_button, self.hint, gap=12), self.picture]
        self._draw()

    @classmethod
    def from_log(
        cls, path: str | os.PathLike[str], recipe: Recipe | Mapping[str, Any] | str
    ) -> TrainingMonitor:
        """Show a run that is over, with a slider over its steps.

        Args:
            path: its `log.jsonl`, or the folder that holds it, as shipped models have.
            recipe: its recipe: a `Recipe`, the plain data on a card (`card["recipe"]`), or the
                name or path that `load_recipe` takes.

        Returns:
            The monitor, at the last step.

        Raises:
            OSError: the log cannot be read.
            RecipeError, ValueError: the recipe cannot be read.
        """
        if isinstance(recipe, str):
            recipe = load_recipe(recipe)
        monitor, path = cls(plan=Plan.of(recipe)), Path(path)
        entries = read_log(path / LOG_FILE if path.is_dir() else path)
        steps = [entry.step + 1 for entry in entries] or [0]
        gaps = {after - before for before, after in pairwise(steps)}
        monitor.upto = slider(
            "Up to step", "Show the run as it was after this step", "460px", steps[0], steps[-1],
            steps[-1], step=gaps.pop() if len(gaps) == 1 else 1,
        )  # fmt: skip

        def look(done: int) -> None:
            monitor._entries = [entry for entry in entries if entry.step < done]
            monitor._draw()

        monitor._on(monitor.upto, look)
        monitor.children = [monitor.upto, monitor.picture]
        monitor._status = Status.LOG
        look(steps[-1])
        return monitor

    def _repr_png_(self) -> bytes | None:
        return super()._repr_png_() if self._entries else None  # a run that has not begun

    def _summary(self) -> str:
        return f"{self.plan.name}, {self.plan.total} steps"

    def train(self) -> Any:
        """Train in this cell, and return when it is done; an interrupt of the kernel stops it.

        Returns:
            What the trainer's `train` returns: the model.

        Raises:
            KeyboardInterrupt: it was stopped; call again to go on.
            RuntimeError: it runs already, or nothing was started.
            TrainingError: as the trainer raises it; the picture says it too.
        """
        ending = self._begin(blocking=True)
        self._run(ending)
        return ending.result()

    def start(self) -> None:
        """Train in the background: the cell returns at once, and the Stop button works."""
        self._ending = ending = self._begin()
        threading.Thread(target=self._run, args=[ending], name="training", daemon=True).start()

    def wait(self) -> Any:
        """Wait until a training that `start` began is over; returns and raises as `train`."""
        if self._ending is None:
            raise RuntimeError("no training was started; call start() or train() first")
        # Not join(), which after an interrupt takes a running thread for one that has ended.
        try:
            self._block(True)
            futures.wait([self._ending])
        except KeyboardInterrupt:
            self.stop()
            futures.wait([self._ending])
        finally:
            self._block(False)
        return self._ending.result()

    def stop(self) -> None:
        """End the run after its current step, with a checkpoint; nothing happens if none runs."""
        if self._status in (Status.RUNNING, Status.STOPPING):
            self._asked.set()
            self._status = Status.STOPPING
            self.trainer.stop()
            self._draw()

    def update(self, entry: Mapping[str, Any]) -> None:
        """Take a log entry as the trainer writes it, which calls this after each step."""
        new = read_entry(entry)
        if self._fresh:  # a run that goes on does some steps again
            self._entries = [old for old in self._entries if old.step < new.step]
            self._fresh = False
        self._entries.append(new)
        if self._asked.is_set():
            self.trainer.stop()  # again: the run may not have begun when it was asked to end
        if time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self._draw()

    def _block(self, blocking: bool) -> None:
        """Note whether a cell keeps the kernel from answering the button, and say so."""
        self._blocking = blocking
        self._draw()

    def _begin(self, *, blocking: bool = False) -> Future[Any]:
        if self.trainer is None:
            raise RuntimeError("this monitor shows a log; give it a trainer to train")
        if self._status in (Status.RUNNING, Status.STOPPING):
            raise RuntimeError("the training runs already; press Stop, or call wait()")
        self._asked.clear()
        self._entries, self._fresh = self._logged(), True
        self._blocking = blocking
        self._status, self._message = Status.RUNNING, ""
        self._draw()
        return Future()

    def _run(self, ending: Future[Any]) -> None:
        # The picture shows the progress, so the trainer's own bar would only print.
        bar, self.trainer.progress = getattr(self.trainer, "progress", None), False
        model, error = None, None
        try:
            model, self._status = self.trainer.train(on_step=self.update), Status.DONE
        except BaseException as failure:
            error, self._message = failure, str(failure) or type(failure).__name__
            stopped = isinstance(failure, KeyboardInterrupt)
            self._status = Status.STOPPED if stopped else Status.FAILED
        self.trainer.progress = bar
        try:
            self._draw()
        finally:
            ending.set_exception(error) if error else ending.set_result(model)

    def _logged(self) -> list[Any]:
        """Read what earlier sessions of this run logged."""
        folder = getattr(self.trainer, "folder", None)
        log = folder and Path(folder) / LOG_FILE
        return read_log(log) if log and log.is_file() else []

    def _draw(self) -> None:
        with self._drawing:
            running = self._status == Status.RUNNING
            self.stop_button.disabled = self._blocking or not running
            self.hint.value = _HINT if self._blocking and running else ""
            self._show(MonitorState(self.plan, tuple(self._entries), self._status, self._message))
            self._drawn = time.monotonic()
