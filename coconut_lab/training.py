"""The training loop: the phases of a recipe, on `accelerate`, with a log and checkpoints.

A batch is a function of the step (`batches.py`), so the weights, the optimizer's state and the
step are all there is to save: a run that was killed goes on with the same numbers.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import random
import re
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm

from coconut_lab.batches import Batches
from coconut_lab.checkpoints import load
from coconut_lab.coconut import Coconut
from coconut_lab.curriculum import Curriculum
from coconut_lab.evaluation import score
from coconut_lab.files import new_folder, write_text
from coconut_lab.models import new_model
from coconut_lab.problems import Problem
from coconut_lab.prosqa import PRESETS, generate_prosqa
from coconut_lab.recipe import Phase, Recipe, RecipeError, load_recipe

LOG_FILE, STATE_FILE, OPTIMIZER_FILE = "log.jsonl", "training.json", "optimizer.safetensors"


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and what is left."""


class Trainer:
    """Trains one model by one recipe.

    Args:
        recipe: what to do.
        folder: where log and checkpoints go; a run found there is continued.
        start: the model to start from; None makes or loads the one that the recipe names.
        validation: problems to score on after each phase, for every number of thoughts.
        save_every: optimizer steps between checkpoints.
        progress: show a progress bar.

    Raises:
        TrainingError: the folder holds a run of another recipe.
        RecipeError: the recipe's model does not fit its problems.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: str | os.PathLike[str],
        *,
        start: Coconut | None = None,
        validation: Sequence[Problem] = (),
        save_every: int = 200,
        progress: bool = True,
    ) -> None:
        self.recipe = recipe
        self.folder = Path(folder)
        self.validation = list(validation)
        self.save_every = save_every
        self.accelerator = Accelerator(
            mixed_precision="bf16" if torch.cuda.is_available() else "no"
        )
        self.progress = progress and self.accelerator.is_main_process
        asked = recipe.problems
        preset = PRESETS[asked.preset]
        names = [*preset.entities, *preset.concepts]
        if start is None and recipe.model.start is not None:
            start = load(recipe.model.start).model
        self.model = start or new_model(recipe.model, names, recipe.seed)
        self.tokenizer = self.model.tokenizer
        part = recipe.curriculum
        self.curriculum = Curriculum(
            part.method,
            part.max_stage,
            part.thoughts_per_step,
            part.pad_to_max,
            part.mix_probability,
        )
        self.batches = Batches(
            generate_prosqa(
                asked.count, asked.seed, asked.preset, hops=asked.hops, nodes=asked.nodes
            ),
            self.tokenizer,
            recipe.batch_size,
            recipe.seed,
            names if asked.rename else [],
        )
        self.step = 0
        self._since_reset = 0
        self._optimizer: Any = None

    def schedule(self) -> Iterator[tuple[int, bool, Phase, float]]:
        """Give every step as (step, whether the optimizer is reset, phase, share of the rate)."""
        step, previous = 0, None
        for phase in self.recipe.phases:
            for inner in range(phase.steps):
                changed = previous is None or (
                    self.recipe.optimizer.reset == "stage" and phase.stage != previous.stage
                )
                share = 1 - (1 - phase.final_rate) * inner / phase.steps
                yield step, inner == 0 and changed, phase, share
                step += 1
            previous = phase

    def batch(self, step: int, phase: Phase) -> dict[str, Tensor]:
        """Make the batch of a step."""
        if self.recipe.objective == "walks":
            return self.batches.walks(step, self.recipe.walks)
        return self.batches.curriculum(step, self.curriculum, phase.stage, phase.mix_probability)

    def train(self, on_step: Callable[[dict[str, Any]], None] | None = None) -> Coconut:
        """Run all phases that are not done yet.

        Ctrl-C ends after the current step, with a checkpoint; calling again goes on from there.

        Args:
            on_step: called after each step with its log entry.

        Returns:
            The model as it is then, in evaluation mode.

        Raises:
            TrainingError: the loss is not finite; the last checkpoint stays as it was.
            KeyboardInterrupt: after the checkpoint was written.
        """
        self._prepare_folder()
        model = self.accelerator.prepare(self.model)
        self._resume(model)
        began = time.perf_counter()
        bar = tqdm(
            total=self.recipe.total_steps,
            initial=self.step,
            disable=not self.progress,
            unit="step",
            desc=self.recipe.name,
        )
        # Dropout draws from the global generators: they are seeded per step, and given back after.
        with _interrupts() as interrupted, torch.random.fork_rng(), bar:
            for step, reset, phase, share in self.schedule():
                if step < self.step:
                    continue
                if reset or self._optimizer is None:
                    self._new_optimizer(model)
                entry = self._train_step(model, step, phase, share)
                entry["seconds"] = round(time.perf_counter() - began, 2)
                self.step = step + 1
                last = step + 1 == self.recipe.total_steps
                ends = last or self._phase_ends(step)
                if ends and self.validation and self.recipe.objective == "curriculum":
                    entry["accuracy"] = self._validate()
                self._log(entry)
                if on_step:
                    on_step(entry)
                bar.update()
                bar.set_postfix(stage=phase.stage, loss=f"{entry['loss']:.3f}", refresh=False)
                if last or interrupted.is_set() or self.step % self.save_every == 0:
                    self._save()
                if interrupted.is_set():
                    raise KeyboardInterrupt(f"stopped after step {step}; run again to go on")
        return self.model.eval()

    def _new_optimizer(self, model: Any) -> None:
        part = self.recipe.optimizer
        self._since_reset = 0
        self._optimizer = self.accelerator.prepare(
            torch.optim.AdamW(
                model.parameters(),
                lr=part.lr,
                betas=(part.beta1, part.beta2),
                weight_decay=part.weight_decay,
            )
        )

    def _train_step(self, model: Any, step: int, phase: Phase, share: float) -> dict[str, Any]:
        part = self.recipe.optimizer
        model.train()
        torch.manual_seed(random.Random(f"{self.recipe.seed}/dropout/{step}").getrandbits(63))
        self._since_reset += 1
        rate = part.lr * share * min(1.0, self._since_reset / max(1, part.warmup_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        batch = {k: v.to(self.accelerator.device) for k, v in self.batch(step, phase).items()}
        output = model(**batch)
        self.accelerator.backward(output.loss)
        norm = self.accelerator.clip_grad_norm_(model.parameters(), part.clip)
        loss = output.loss.item()
        if not math.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss} at step {step}; {self._left()} Lower optimizer.lr or "
                "optimizer.clip"
            )
        self._optimizer.step()
        self._optimizer.zero_grad()
        return {
            "step": step,
            "stage": phase.stage,
            "loss": round(loss, 6),
            "lr": rate,
            "gradient_norm": round(float(norm), 4),
        }

    def _phase_ends(self, step: int) -> bool:
        total = 0
        for phase in self.recipe.phases:
            total += phase.steps
            if step + 1 == total:
                return True
        return False

    def _validate(self) -> dict[str, float]:
        self.model.eval()
        scores = {
            str(thoughts): score(
                self.model, self.tokenizer, self.validation, self.curriculum, thoughts
            )
            for thoughts in range(self.curriculum.max_stage + 1)
        }
        return {thoughts: round(result.accuracy, 4) for thoughts, result in scores.items()}

    # What is on disk

    @property
    def fingerprint(self) -> str:
        """A hash of the recipe: a run is only continued by the recipe that began it."""
        text = json.dumps(self.recipe.to_dict(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _checkpoints(self) -> list[Path]:
        found = [p for p in self.folder.glob("step-*") if re.fullmatch(r"step-\d{6}", p.name)]
        return sorted(found)

    def _left(self) -> str:
        saved = self._checkpoints()
        return f"the last good checkpoint is {saved[-1]}." if saved else "no checkpoint was due."

    def _prepare_folder(self) -> None:
        if self.accelerator.is_main_process:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.accelerator.wait_for_everyone()

    def _log(self, entry: dict[str, Any]) -> None:
        if self.accelerator.is_main_process:
            with (self.folder / LOG_FILE).open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")

    def _save(self) -> None:
        """Write a checkpoint under a new name, then drop all but the last two."""
        if not self.accelerator.is_main_process:
            return
        with new_folder(self.folder / f"step-{self.step:06d}") as temporary:
            self.model.write_files(temporary)
            state = self._optimizer.optimizer.state_dict()["state"]
            tensors = {
                f"{index}.{name}": value.contiguous()
                for index, values in state.items()
                for name, value in values.items()
            }
            save_file(tensors, temporary / OPTIMIZER_FILE)
            facts = {
                "recipe": self.fingerprint,
                "step": self.step,
                "since_reset": self._since_reset,
            }
            write_text(temporary / STATE_FILE, json.dumps(facts) + "\n")
        for old in self._checkpoints()[:-2]:
            shutil.rmtree(old)

    def _resume(self, model: Any) -> None:
        """Take weights, optimizer and step from the newest checkpoint, if there is one."""
        saved = self._checkpoints()
        if not saved:
            self._trim_log()
            return
        folder = saved[-1]
        facts = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))
        if facts["recipe"] != self.fingerprint:
            raise TrainingError(
                f"{self.folder} holds a run of another recipe or seed; choose another folder, or "
                "remove this one"
            )
        self.model.load_state_dict(Coconut.from_pretrained(folder).state_dict())
        self.step = facts["step"]
        self._new_optimizer(model)
        self._since_reset = facts["since_reset"]
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in load_file(folder / OPTIMIZER_FILE).items():
            index, name = key.split(".", 1)
            state.setdefault(int(index), {})[name] = value
        whole = self._optimizer.optimizer.state_dict()
        self._optimizer.optimizer.load_state_dict(whole | {"state": state})
        self._trim_log()

    def _trim_log(self) -> None:
        """Drop log entries of steps that will be done again."""
        path = self.folder / LOG_FILE
        if not path.exists() or not self.accelerator.is_main_process:
            return
        kept = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] < self.step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                break  # a line cut short by a kill; nothing after it is older
        write_text(path, "".join(kept))


@contextmanager
def _interrupts() -> Iterator[threading.Event]:
    """Turn the first Ctrl-C into a flag, so that a step is never left half done."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return
    usual = signal.getsignal(signal.SIGINT)

    def on_interrupt(number: int, frame: Any) -> None:
        signal.signal(signal.SIGINT, usual)  # a second one ends at once
        flag.set()

    signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield flag
    finally:
        signal.signal(signal.SIGINT, usual)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `python -m coconut_lab.training recipe.yaml`; errors are one line and exit with 2."""
    parser = argparse.ArgumentParser(prog="python -m coconut_lab.training", description=__doc__)
    parser.add_argument("recipe", help="a YAML file, or the name of a recipe of this package")
    parser.add_argument("--output", help="folder for log and checkpoints (default runs/NAME)")
    parser.add_argument("--seed", type=int, help="replaces the recipe's seed")
    chosen = parser.parse_args(arguments)
    try:
        changes = {} if chosen.seed is None else {"seed": chosen.seed}
        recipe = load_recipe(chosen.recipe, **changes)
        folder = Path(chosen.output or Path("runs") / recipe.name)
        validation = generate_prosqa(200, recipe.problems.seed + 1, recipe.problems.preset)
        model = Trainer(recipe, folder, validation=validation).train()
        model.save_pretrained(folder / "model")
        print(f"{recipe.name}: {recipe.total_steps} steps done; the model is in {folder / 'model'}")
    except (RecipeError, TrainingError, OSError, ValueError) as error:
        print(f"coconut_lab.training: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
