"""Checkpoints and a study for the explorers' tests: tiny and random, made in milliseconds."""

import numpy as np
import torch
from shapes import CONFIGS, bpe_tokenizer, exact

from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.halting_tradeoff import HaltStudy
from coconut_lab.inference.scoring import Score
from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.prosqa import PRESETS
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import new_model

RIGHT = (480, 520, 810, 980)  # of 1,000, with 0 to 3 thoughts


def random_checkpoint(positions: int = 96, seed: int = 0) -> Checkpoint:
    """A model that was never trained, with the vocabulary and the card of a trained one."""
    preset = PRESETS["tiny"]
    part = ModelPart(
        layers=2, heads=4, width=32, feed_forward=48, positions=positions, initializer_range=0.3
    )
    model = new_model(part, [*preset.entities, *preset.concepts], seed).eval()
    accuracy = []
    for thoughts, score in enumerate(Score(right, 1000) for right in RIGHT):
        low, high = score.interval
        row = {"thoughts": thoughts, "right": score.right, "total": 1000, "low": low, "high": high}
        accuracy.append(row | {"accuracy": score.accuracy})
    card = {"name": "random", "preset": "tiny", "accuracy": accuracy}
    return Checkpoint(model, model.tokenizer, Curriculum("coconut", max_stage=3), card)


def spelling_checkpoint() -> Checkpoint:
    """A model whose tokenizer can spell every word: byte-level BPE, names of several tokens."""
    tokenizer = bpe_tokenizer()
    config = CONFIGS["gpt2"](len(tokenizer))
    config.n_positions = 256
    model = Coconut(exact(config, dtype=torch.float32), tokenizer)
    return Checkpoint(model, tokenizer, Curriculum("coconut", max_stage=3), {"name": "spelling"})


def study_of(seed: int, count: int = 30, most: int = 4, name: str = "steps") -> HaltStudy:
    """A study with random tables."""
    draw = np.random.default_rng(seed)
    shape = (count, most + 1)
    signals = {key: draw.random(shape) for key in (name, "entropy", "margin")}
    right = draw.random(shape) < 0.5
    return HaltStudy(
        hops=draw.integers(1, 4, count),
        right=right,
        tokens=draw.integers(1, 4, shape),
        passes=1 + np.arange(most + 1) + draw.integers(1, 4, shape),
        signals=signals,
    )
