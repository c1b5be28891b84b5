"""The training monitor: watch a run while it trains, stop it, look at one that is over."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from concurrent import futures
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import traitlets

from coconut_lab.explorers.browser.explorer import BrowserExplorer, checked, module, style
from coconut_lab.explorers.monitor.data import (
    RUNNING,
    monitor_data,
    plan_of,
    read_entry,
    read_log,
)
from coconut_lab.training.recipe import Recipe, load_recipe
from coconut_lab.training.run_folder import LOG_FILE
from coconut_lab.training.trainer import Trainer

REDRAW_SECONDS = 0.25


class TrainingMonitor(BrowserExplorer):
    """Shows a training run: stage, progress, loss, accuracy per number of thoughts, time left.

    Display it, then call `train()` for a cell that lasts as long as the training: an interrupt of
    the kernel stops it. Or call `start()` for a cell that returns at once: the Stop button stops
    it. While any cell runs the kernel answers no button, so then the monitor says to interrupt.
    Either way the run ends after its current step, with a checkpoint, and calling again goes on.

    Args:
        trainer: the `Trainer`, or None for a run that is over (see `from_log`).
        plan: what the run does, if there is no trainer, as `plan_of` gives it.

    Attributes: (all but `trainer` and `plan` are traits: `observe` them, `jslink` them)
        upto: shows the run as it was after that many steps; None for all that is done.
        asked_to_stop: the Stop button sets it, and so can you.
        data: what is shown; the schema is in `data.py`.
        trainer, plan: what trains, and what it is going to do.

    Raises:
        ValueError: neither a trainer nor a plan.
        TraitError: `upto` was set to more steps than the run has, or less than 0.
    """

    _esm = module("monitor/monitor.js")
    _css = style("monitor/monitor.css")

    data = traitlets.Dict().tag(sync=True)
    upto = traitlets.Int(None, allow_none=True).tag(sync=True)
    asked_to_stop = traitlets.Bool(False).tag(sync=True)

    def __init__(
        self, trainer: Trainer | None = None, *, plan: Mapping[str, Any] | None = None
    ) -> None:
        if trainer is not None:
            plan = plan_of(trainer.recipe)
        if plan is None:
            raise ValueError("there is nothing to monitor; give a trainer, or use from_log")
        self.trainer: Any = trainer
        self.plan = plan
        super().__init__()
        self._entries = self._logged()
        self._status, self._message = "ready", ""
        self._fresh = False  # whether this session has not logged yet
        self._asked = threading.Event()
        self._ending: Future[Any] | None = None  # what the run that `start` began gives or raises
        self._waits = False  # whether a cell lasts as long as the run
        self._drawn = 0.0
        self._drawing = threading.RLock()  # training and the button come from two threads
        self._draw()
        self.observe(lambda change: self.stop() if change.new else None, "asked_to_stop")

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
        monitor, path = cls(plan=plan_of(recipe)), Path(path)
        monitor._entries = read_log(path / LOG_FILE if path.is_dir() else path)
        monitor._show("log")
        return monitor

    def _summary(self) -> str:
        return f"{self.plan['name']}, {self.plan['total']} steps"

    def train(self) -> Any:
        """Train in this cell, and return when it is done; an interrupt of the kernel stops it.

        Returns:
            What the trainer's `train` returns: the model.

        Raises:
            KeyboardInterrupt: it was stopped; call again to go on.
            RuntimeError: it runs already, or nothing was started.
            TrainingError: as the trainer raises it; the picture says it too.
        """
        ending = self._begin(waits=True)
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
            self._wait(True)
            futures.wait([self._ending])
        except KeyboardInterrupt:
            self.stop()
            futures.wait([self._ending])
        finally:
            self._wait(False)
        return self._ending.result()

    def stop(self) -> None:
        """End the run after its current step, with a checkpoint; nothing happens if none runs."""
        if self._status in RUNNING:
            self._asked.set()
            self.trainer.stop()
            self._show("stopping")

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

    def _wait(self, waits: bool) -> None:
        """Note whether a cell keeps the kernel from answering the button, and say so."""
        self._waits = waits
        self._draw()

    def _begin(self, *, waits: bool = False) -> Future[Any]:
        if self.trainer is None:
            raise RuntimeError("this monitor shows a log; give it a trainer to train")
        if self._status in RUNNING:
            raise RuntimeError("the training runs already; press Stop, or call wait()")
        self._asked.clear()
        self._entries, self._fresh = self._logged(), True
        self._waits = waits
        self.upto, self.asked_to_stop = None, False
        self._show("running")
        return Future()

    def _run(self, ending: Future[Any]) -> None:
        # The picture shows the progress, so the trainer's own bar would only print.
        bar, self.trainer.progress = getattr(self.trainer, "progress", None), False
        model, error, status, message = None, None, "done", ""
        try:
            model = self.trainer.train(on_step=self.update)
        except BaseException as failure:
            error, message = failure, str(failure) or type(failure).__name__
            status = "stopped" if isinstance(failure, KeyboardInterrupt) else "failed"
        self.trainer.progress = bar
        try:
            self._show(status, message)
        finally:
            ending.set_exception(error) if error else ending.set_result(model)

    def _logged(self) -> list[Any]:
        """Read what earlier sessions of this run logged."""
        folder = getattr(self.trainer, "folder", None)
        log = folder and Path(folder) / LOG_FILE
        return read_log(log) if log and log.is_file() else []

    def _show(self, status: str, message: str = "") -> None:
        self._status, self._message = status, message
        self._draw()

    def _draw(self) -> None:
        with self._drawing:
            shown = (tuple(self._entries), self._status, self._message)
            self.data = monitor_data(self.plan, *shown, waits=self._waits)
            self._drawn = time.monotonic()

    @traitlets.validate("upto")
    def _check(self, proposal: Any) -> Any:
        whole = range(self.plan["total"] + 1)
        return None if proposal["value"] is None else checked(proposal, whole)
