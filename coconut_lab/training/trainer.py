"""The training loop: the phases of a recipe, on `accelerate`, with a log and checkpoints.

A batch is a function of the step (`data.py`), so the weights, the optimizer's state and the step
are all there is to save: a run that was killed goes on with the same numbers. Each process makes
the whole batch and takes its share of the rows, so several processes do what one would.
"""

from __future__ import annotations

import itertools
import math
import os
import random
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor
from tqdm.auto import tqdm

from coconut_lab.curriculum.stages_and_masks import IGNORED
from coconut_lab.errors import check_whole, checks_kinds
from coconut_lab.files import new_folder
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.modes import training_alone
from coconut_lab.model.passes import give_back_memory
from coconut_lab.tasks.problems import Problem
from coconut_lab.tasks.prosqa import PRESETS
from coconut_lab.training import data, distributed
from coconut_lab.training.estimate import SHOWN, Gpu, detect_gpu, estimate_run, find_gpu
from coconut_lab.training.recipe import Phase, Recipe, RecipeError
from coconut_lab.training.run_folder import RunFolder, TrainingError, first_interrupt
from coconut_lab.training.schedule import ScheduledStep, schedule, schedule_table
from coconut_lab.training.start import add_pause, fingerprint, first_model, new_optimizer
from coconut_lab.training.supervisors import check_supervisor, supervision
from coconut_lab.training.validation import check_room, validate


class Trainer:
    """Trains one model by one recipe.

    A script of one's own that `accelerate` launches in several processes runs its main function
    through `distributed.end_process`, so that they end together.

    Args:
        recipe: what to do.
        folder: where log and checkpoints go; a run found there is continued.
        start: the model to start from; None makes or loads the one that the recipe names.
        validation: problems to score on after each phase, for every number of thoughts.
        save_every: optimizer steps between checkpoints.
        progress: show a progress bar.
        tensorboard: also write the log for TensorBoard, into the folder.

    Raises:
        RecipeError: stages, problems and model do not fit together, or the batch does not divide
            among the processes; the message names the key.
        TrainingError: `tensorboard` is asked for and not installed.
    """

    @checks_kinds(RecipeError)
    def __init__(
        self,
        recipe: Recipe,
        folder: str | os.PathLike[str],
        *,
        start: Coconut | None = None,
        validation: Sequence[Problem] = (),
        save_every: int = 200,
        progress: bool = True,
        tensorboard: bool = False,
    ) -> None:
        check_whole("save_every", save_every, 1, TrainingError)
        names = data.names_of(recipe)
        problems = data.training_problems(recipe)
        self.recipe = recipe.in_steps(len(problems))
        self.folder = Path(folder)
        self.validation = list(validation)
        self.save_every = save_every
        self.bf16 = recipe.precision == "bf16" or (
            recipe.precision == "auto" and torch.cuda.is_available()
        )
        # FSDP must know the precision. `accelerate` would hold all later runs to it, and never
        # take it from a model again, so without FSDP it is chosen for each step.
        sharded = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
        self.accelerator = Accelerator(mixed_precision="bf16" if self.bf16 and sharded else "no")
        self.progress = progress and self.accelerator.is_main_process
        self.curriculum = recipe.curriculum.make()
        self.model = start or first_model(recipe.model, names, recipe.seed, self.curriculum)
        if self.model.device.type == "meta" or not any(
            weight.requires_grad for weight in self.model.parameters()
        ):
            raise TrainingError(
                "the model has no weight that can be trained: all are frozen (requires_grad_), or "
                "on the device meta"
            )
        if self.curriculum.rule.stand_in == "pauses":
            add_pause(self.model)
        self.tokenizer = self.model.tokenizer
        renamed = names if recipe.problems.rename and recipe.problems.source is None else []
        kept = len(PRESETS[recipe.problems.preset].entities) * recipe.problems.within_kinds
        self.batches = data.Batches(
            problems, self.tokenizer, recipe.batch_size, recipe.seed, renamed, kept
        )
        check_supervisor(recipe, problems, self.tokenizer)
        data.check_fit(self.recipe, self.curriculum, self.batches.parts, self.model.positions)
        if recipe.objective == "curriculum":
            check_room(self.model, self.validation, self.curriculum)
        shares = data.share_out(recipe, self.accelerator.num_processes)
        self._chunks = shares[self.accelerator.process_index]
        self.step = 0
        self._since_reset = 0
        self._optimizer: Any = None
        self._stopped = threading.Event()
        self._run = RunFolder(self.folder, tensorboard)

    def describe(self) -> str:
        """Say what will be trained, on what, and in which phases: the schedule as a table."""
        recipe, kind = self.recipe, self.accelerator
        method = "walks" if recipe.objective == "walks" else self.curriculum.method
        method += f" with {recipe.supervisor}" if recipe.supervisor != "none" else ""
        size = self._chunks[0].stop - self._chunks[0].start
        weights = sum(parameter.numel() for parameter in self.model.parameters())
        return "\n".join(
            [
                f"{recipe.name}: {method}, {weights:,} parameters, "
                f"{len(self.batches.problems):,} problems, {recipe.total_steps:,} steps "
                f"on {kind.device.type} in {'bf16' if self.bf16 else 'fp32'}",
                f"effective batch {recipe.batch_size}: {kind.num_processes} process(es) x "
                f"{len(self._chunks)} part(s) of {size} problems",
                schedule_table(recipe, self.curriculum),
            ]
        )

    @checks_kinds(RecipeError)
    def dry_run(self, gpu: Gpu | None = None) -> str:
        """Say what the run needs on a GPU: this machine's, or several, if none is named.

        A RecipeError if it cannot fit.
        """
        chosen = gpu or detect_gpu()
        run = (self.recipe, self.model, self.batches, self.curriculum)
        found, *others = [
            estimate_run(*run, each, self.accelerator.num_processes)
            for each in ([chosen] if chosen else map(find_gpu, SHOWN))
        ]
        if chosen and not found.fits:
            raise RecipeError(f"micro_batch: {found.rows} rows at once: {found.line()}")
        return found.table(others)

    def batch(self, step: int, phase: Phase) -> dict[str, Tensor]:
        """Make the whole batch of a step."""
        return self.batches.training(step, self.recipe, phase, self.curriculum)

    def stop(self) -> None:
        """End after the current step, with a checkpoint; may be called from any thread."""
        self._stopped.set()

    @give_back_memory()
    def train(self, on_step: Callable[[dict[str, Any]], None] | None = None) -> Coconut:
        """Run all phases that are not done yet.

        Ctrl-C and `stop` end after the current step, with a checkpoint; calling again goes on from
        there.

        Args:
            on_step: called after each step with its log entry.

        Returns:
            The model as it is then, in evaluation mode.

        Raises:
            TrainingError: the loss or the gradient is not finite; the last checkpoint stays as it
                was. Or the folder holds another run, is in use, or cannot be written to.
            KeyboardInterrupt: after the checkpoint was written.
        """
        self._stopped.clear()
        main = self.accelerator.is_main_process
        claimed = self._run.claimed(self._identity()) if main else nullcontext()
        with claimed, training_alone(self.model):
            self.accelerator.wait_for_everyone()
            model = self._prepare()
            self._resume()
            self._go_on(model, on_step)
        return self.model.eval()

    def _identity(self) -> dict[str, Any]:
        """Say which run this is: its recipe, and the model that it begins with."""
        folder = str(self.folder.resolve())
        # The same object may come back with the weights that this run gave it.
        if self.model.begun[0] != folder or not self._run.checkpoints():
            self.model.begun = (folder, fingerprint(self.model))
        return {
            "recipe": self.recipe.to_dict(),
            "numbers trained": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "weights at the start": self.model.begun[1],
        }

    def _go_on(self, model: Any, on_step: Callable[[dict[str, Any]], None] | None) -> None:
        """Run the steps that are left."""
        main = self.accelerator.is_main_process
        steps = schedule(self.recipe, len(self.batches.problems))
        left = itertools.islice(steps, self.step, None)
        began = time.perf_counter()
        total, name = self.recipe.total_steps, self.recipe.name
        bar = tqdm(
            total=total, initial=self.step, disable=not self.progress, unit="step", desc=name
        )
        # Dropout draws from the global generators: they are seeded per step, and given back after.
        with first_interrupt(self.stop), torch.random.fork_rng(), bar:
            for now, batch in data.made_ahead(left, lambda now: self.batch(now.step, now.phase)):
                if now.reset:
                    self._optimizer.optimizer.state.clear()
                    self._since_reset = 0
                entry = self._train_step(model, now, batch)
                entry["seconds"] = round(time.perf_counter() - began, 2)
                self.step = now.step + 1
                if now.ends_phase and self.validation and self.recipe.objective != "walks":
                    if main or distributed.is_sharded(self.model):
                        entry |= validate(self.model, self.validation, self.curriculum)
                    self.accelerator.wait_for_everyone()
                if main:
                    self._run.log(entry)
                if on_step:
                    on_step(entry)
                bar.update()
                bar.set_postfix(stage=now.phase.stage, loss=f"{entry['loss']:.3f}", refresh=False)
                stopped = self._anyone_stopped()
                if self.step == total or stopped or self.step % self.save_every == 0:
                    self._save_checkpoint()
                if stopped:
                    raise KeyboardInterrupt(f"stopped after step {now.step}; run again to go on")

    def _prepare(self) -> Any:
        """Give the model as `accelerate` wraps it, and make its optimizer."""
        self.accelerator.free_memory()  # it keeps what it has prepared before
        optimizer = new_optimizer(self.model, self.recipe.optimizer)
        # Together, because FSDP puts parts of the weights in their place.
        model, self._optimizer = self.accelerator.prepare(self.model, optimizer)
        if self.model.new_tokens_only and distributed.is_sharded(self.model):
            raise TrainingError(
                "FSDP cannot train some rows of an embedding only, as freeze and lora do; train "
                "all weights, or take configs/several_gpus.yaml"
            )
        if self.recipe.supervisor in ("step", "frontier") and distributed.is_sharded(self.model):
            raise TrainingError("FSDP cannot read thoughts; take configs/several_gpus.yaml")
        return model

    def _train_step(
        self, model: Any, now: ScheduledStep, batch: dict[str, Tensor]
    ) -> dict[str, Any]:
        """Forward, backward and update on a batch, in parts; gives the log entry."""
        part, accelerator = self.recipe.optimizer, self.accelerator
        model.train()
        process = f"/{accelerator.process_index}" if accelerator.process_index else ""
        seed = f"{self.recipe.seed}/dropout/{now.step}{process}"
        torch.manual_seed(random.Random(seed).getrandbits(63))
        self._since_reset += 1
        rate = part.lr * now.share * min(1.0, self._since_reset / max(1, part.warmup_steps))
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        labelled = (batch["labels"][:, 1:] != IGNORED).sum(1)  # (B,)
        total = int(labelled.sum())
        loss, extra = torch.zeros(2, device=accelerator.device)
        supervisor, weight = self.recipe.supervisor, self.recipe.supervisor_weight
        cuts = distributed.shared_cuts(self.model, batch, self.model.tokens.thought)
        for chunk in self._chunks:
            rows = {k: v[chunk].to(accelerator.device) for k, v in batch.items()}
            targets = rows.pop("targets", None)
            how = {"output_hidden_states": True} if supervisor == "teacher" else {}
            # Processes exchange gradients once, with the last part. Their mean is taken there.
            last = chunk is self._chunks[-1]
            with nullcontext() if last else accelerator.no_sync(model):
                with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=self.bf16):
                    again = self.recipe.recompute
                    output = model(**rows, also_cut=cuts, recompute=again, **how)
                share = int(labelled[chunk].sum()) / total
                loss += share * output.loss.detach()
                whole = output.loss * (share * accelerator.num_processes)
                if supervisor != "none":
                    each = supervision(self.model, output, rows, targets)  # of each problem
                    mean = each.sum() / (len(labelled) / self.recipe.rows_per_problem)
                    extra += mean.detach()
                    whole = whole + mean * (weight * accelerator.num_processes)
                accelerator.backward(whole)
        norm = float(accelerator.clip_grad_norm_(model.parameters(), part.clip))
        value, beside = accelerator.reduce(torch.stack([loss, extra]), "sum").tolist()
        if not math.isfinite(value + norm):
            what = f"gradient's norm is {norm}" if math.isfinite(value) else f"loss is {value}"
            raise TrainingError(
                f"the {what} at step {now.step}; {self._run.left()} Lower optimizer.lr or "
                "optimizer.clip, warm up for longer, or try precision: fp32"
            )
        self._optimizer.step()
        self._optimizer.zero_grad()
        return {
            "step": now.step,
            "stage": now.phase.stage,
            "loss": round(value, 6),
            "lr": rate,
            "gradient_norm": round(norm, 4),
        } | ({"supervisor": round(beside, 6)} if supervisor != "none" else {})

    def _save_checkpoint(self) -> None:
        """Let the main process write a checkpoint; all of them hand in what they hold."""
        weights = distributed.whole_weights(self.model)
        state = distributed.whole_state(self.model, self._optimizer.optimizer)
        if self.accelerator.is_main_process:
            self._run.save(self.step, self._since_reset, self.model, weights, state)
        # A launcher ends all processes as soon as one has ended, as after Ctrl-C they do.
        self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        """Take weights, optimizer and step from the newest checkpoint, if there is one."""
        facts, weights, state = self._run.newest()
        self.step = self._since_reset = 0
        if facts:
            # Of tied weights the file of a model with adapters names one.
            strict = not self.model.has_adapters
            optimizer = self._optimizer.optimizer
            distributed.load_state(self.model, optimizer, weights, state, strict)
            self.step, self._since_reset = facts["step"], facts["since_reset"]
        self.accelerator.wait_for_everyone()  # all have read
        if self.accelerator.is_main_process:
            self._run.rewind(self.step)

    @checks_kinds(RecipeError)
    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the model as `Coconut.save_pretrained`; to be called by all processes."""
        weights = distributed.whole_weights(self.model)
        if self.accelerator.is_main_process:
            with self._run.writing("the model to", Path(folder)), new_folder(folder) as temporary:
                self.model.write_files(temporary, weights)

    def _anyone_stopped(self) -> bool:
        """Whether any process was asked to stop: all of them end after the same step."""
        if self.accelerator.num_processes == 1:
            return self._stopped.is_set()
        flag = torch.tensor(float(self._stopped.is_set()), device=self.accelerator.device)
        return bool(self.accelerator.reduce(flag, "sum") > 0)
