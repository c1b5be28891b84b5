"""Trainers for the monitor's tests: one that learns nothing, and a real one of a small model."""

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coconut_lab.explorers.monitor.widget import REDRAW_SECONDS
from coconut_lab.tasks.prosqa import generate_prosqa
from coconut_lab.training.recipe import CurriculumPart, ModelPart, Phase, ProblemsPart, Recipe
from coconut_lab.training.trainer import Trainer

STEPS = 40


def recipe(steps: int = STEPS) -> Recipe:
    """Four stages of equal length."""
    phases = tuple(Phase(steps // 4, stage=stage) for stage in range(4))
    return Recipe("trial", phases, curriculum=CurriculumPart(max_stage=2))


class FakeTrainer:
    """Logs as a trainer does, goes on where it was stopped, and fails where it is told to.

    Before step `holds_at` it sets `held`, and waits until it is asked to stop or `go_on` is set.
    """

    def __init__(self, folder=None, *, pause=0.0, fails_at=-1, holds_at=-1, steps=STEPS) -> None:
        self.recipe, self.progress, self.step = recipe(steps), True, 0
        self.folder, self.pause, self.fails_at, self.holds_at = folder, pause, fails_at, holds_at
        self.asked, self.held, self.go_on = (threading.Event() for _ in range(3))

    def stop(self) -> None:
        self.asked.set()
        self.go_on.set()

    def entry(self, step: int, seconds: float) -> dict[str, Any]:
        band = step // self.recipe.phases[0].steps
        entry = {"step": step, "stage": band, "loss": round(4 / (step + 1), 6), "lr": 3e-3,
                 "gradient_norm": 1.0, "seconds": seconds, "more": [1]}  # fmt: skip
        if (step + 1) % self.recipe.phases[0].steps == 0:
            entry["accuracy"] = {str(k): round(0.2 * (k + 1), 4) for k in range(3)}
        return entry

    def train(self, on_step: Callable[[dict[str, Any]], None] | None = None) -> str:
        assert not self.progress, "the bar would print into the notebook"
        self.asked.clear()
        began = self.step
        for step in range(began, self.recipe.total_steps):
            time.sleep(self.pause)
            if step == self.holds_at:
                self.held.set()
                self.go_on.wait()
            if step == self.fails_at:
                raise ArithmeticError(f"the loss is nan at step {step}; <no> checkpoint")
            self.step = step + 1
            entry = self.entry(step, float(step - began + 1))
            if self.folder is not None:
                with (self.folder / "log.jsonl").open("a") as file:
                    file.write(json.dumps(entry) + "\n")
            if on_step:
                on_step(entry)
            if self.asked.is_set():
                raise KeyboardInterrupt(f"stopped after step {step}; run again to go on")
        return "the model"


class HeldTrainer(Trainer):
    """A real one whose first run waits in step `holds_at` until it is asked to stop."""

    holds_at = -1

    def train(self, on_step: Callable[[dict[str, Any]], None] | None = None) -> Any:
        def hold(entry: dict[str, Any]) -> None:
            if entry["step"] == self.holds_at:
                time.sleep(REDRAW_SECONDS)  # so that this step is drawn
            if on_step:
                on_step(entry)
            while entry["step"] == self.holds_at:
                time.sleep(0.01)  # in which an interrupt of the main thread comes through

        return super().train(hold)

    def stop(self) -> None:
        self.holds_at = -1
        super().stop()


def small_trainer(folder: Path, steps: int, holds_at: int = -1) -> Trainer:
    """A real trainer whose model is tiny, with `steps` steps at each of four stages."""
    small = Recipe(
        "small",
        tuple(Phase(steps, stage=stage) for stage in range(4)),
        batch_size=4,
        problems=ProblemsPart(count=8),
        model=ModelPart(layers=1, heads=2, head_dim=8, width=16, feed_forward=16),
        curriculum=CurriculumPart(max_stage=2),
    )
    trainer = HeldTrainer(small, folder, validation=generate_prosqa(4, 9))
    trainer.holds_at = holds_at
    return trainer


def scores(monitor) -> dict[tuple[int, str], float]:
    """Steps done and number of thoughts → accuracy, as the monitor shows it."""
    return {(one["step"], key): share for one in monitor.data["scores"]
            for key, share in one["accuracy"].items()}  # fmt: skip


def steps_of(monitor) -> list[int]:
    """How many steps are done after each point of the curve."""
    return [done for done, *_ in monitor.data["points"]]
