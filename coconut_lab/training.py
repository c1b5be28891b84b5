"""The training loop: phases of a recipe, on `accelerate`, with a log and checkpoints."""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from coconut_lab.batches import Batches
from coconut_lab.coconut import Coconut, ModelError
from coconut_lab.curriculum import Curriculum
from coconut_lab.evaluation import score
from coconut_lab.files import new_folder, write_text
from coconut_lab.problems import Problem
from coconut_lab.prosqa import PRESETS, generate_prosqa
from coconut_lab.recipe import ModelPart, Phase, Recipe, RecipeError, load_recipe
from coconut_lab.tokenizer import word_tokenizer

STATE_FILE = "training.json"
OPTIMIZER_FILE = "optimizer.safetensors"


class TrainingError(RuntimeError):
    """Training that cannot go on; the message says at which step and what is left."""


def new_model(part: ModelPart, names: list[str], seed: int) -> Coconut:
    """Make a Llama-shaped model with random weights and a word-level tokenizer.

    Args:
        part: its sizes.
        names: the names a node may have.
        seed: of the weights; the global generator is left as it was.

    Returns:
        The model.
    """
    tokenizer = word_tokenizer(names)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=part.width,
        intermediate_size=part.feed_forward,
        num_hidden_layers=part.layers,
        num_attention_heads=part.heads,
        max_position_embeddings=part.positions,
        initializer_range=part.initializer_range,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Coconut(LlamaForCausalLM(config), tokenizer)


class Trainer:
    """Trains one model by one recipe.

    A batch is a function of the step, so the weights, the optimizer's state and the step are all
    there is to save.

    Args:
        recipe: what to do.
        folder: where log and checkpoints go; a run found there is continued.
        start: the model to start from, if the recipe does not make one from scratch.
        progress: show a progress bar.
    """

    def __init__(
        self,
        recipe: Recipe,
        folder: str | os.PathLike[str],
        *,
        start: Coconut | None = None,
        progress: bool = True,
    ) -> None:
        self.recipe = recipe
        self.folder = Path(folder)
        self.progress = progress
        self.accelerator = Accelerator(
            mixed_precision="bf16" if torch.cuda.is_available() else "no"
        )
        preset = PRESETS[recipe.problems.preset]
        groups = [list(preset.entities), list(preset.concepts)]
        if recipe.model.start is not None and start is None:
            raise RecipeError(
                f"model.start: the recipe starts from {recipe.model.start!r}; pass that model"
            )
        self.model = start or new_model(recipe.model, [*groups[0], *groups[1]], recipe.seed)
        self.tokenizer = self.model.tokenizer
        part = recipe.curriculum
        self.curriculum = Curriculum(
            part.method, part.max_stage, part.thoughts_per_step, part.pad_to_max,
            part.mix_probability,
        )
        self.batches = Batches(
            generate_prosqa(recipe.problems.count, recipe.problems.seed, recipe.problems.preset),
            self.tokenizer,
            recipe.batch_size,
            recipe.seed,
            groups if recipe.problems.rename else [],
        )
        self.step = 0

    def schedule(self) -> Iterator[tuple[int, int, Phase]]:
        """Give every optimizer step as (step, step within its phase, phase)."""
        step = 0
        for phase in self.recipe.phases:
            for inner in range(phase.steps):
                yield step, inner, phase
                step += 1

    def batch(self, step: int, phase: Phase) -> dict[str, Tensor]:
        """Make the batch of a step."""
        if self.recipe.objective == "walks":
            return self.batches.walks(step, self.recipe.walks)
        return self.batches.curriculum(step, self.curriculum, phase.stage, phase.mix_probability)

    def train(self, on_step: Callable[[dict[str, Any]], None] | None = None) -> Coconut:
        """Run all phases.

        Args:
            on_step: called after each step with its log entry.

        Returns:
            The trained model, in evaluation mode.

        Raises:
            TrainingError: the loss is not finite.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        log = (self.folder / "log.jsonl").open("a", encoding="utf-8")
        model = self.accelerator.prepare(self.model)
        model.train()
        part = self.recipe.optimizer
        optimizer, since_reset, last_stage = None, 0, None
        bar = tqdm(total=self.recipe.total_steps, disable=not self.progress, unit="step")
        began = time.perf_counter()
        for step, inner, phase in self.schedule():
            fresh = inner == 0 and (part.reset == "stage" and phase.stage != last_stage)
            if optimizer is None or fresh:
                optimizer = self.accelerator.prepare(
                    torch.optim.AdamW(
                        model.parameters(),
                        lr=part.lr,
                        betas=(part.beta1, part.beta2),
                        weight_decay=part.weight_decay,
                    )
                )
                since_reset = 0
            last_stage = phase.stage
            since_reset += 1
            rate = part.lr * min(1.0, since_reset / max(1, part.warmup_steps))
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = {k: v.to(self.accelerator.device) for k, v in self.batch(step, phase).items()}
            output = model(**batch)
            self.accelerator.backward(output.loss)
            norm = self.accelerator.clip_grad_norm_(model.parameters(), part.clip)
            loss = output.loss.item()
            if not math.isfinite(loss):
                raise TrainingError(f"the loss is {loss} at step {step}; lower optimizer.lr")
            optimizer.step()
            optimizer.zero_grad()
            self.step = step + 1
            entry = {
                "step": step,
                "stage": phase.stage,
                "loss": round(loss, 5),
                "lr": round(rate, 7),
                "gradient_norm": round(float(norm), 4),
                "seconds": round(time.perf_counter() - began, 2),
            }
            if step % 10 == 0:
                log.write(json.dumps(entry) + "\n")
                log.flush()
            if on_step:
                on_step(entry)
            bar.update()
            if step % 10 == 0:
                bar.set_postfix(stage=phase.stage, loss=f"{loss:.3f}")
        bar.close()
        log.close()
        return self.model.eval()
