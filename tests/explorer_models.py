"""Checkpoints for the explorers' tests: a tiny model with random weights, made in milliseconds."""

from __future__ import annotations

from coconut_lab.checkpoints import Checkpoint
from coconut_lab.curriculum import Curriculum
from coconut_lab.evaluation import Score
from coconut_lab.models import new_model
from coconut_lab.prosqa import PRESETS
from coconut_lab.recipe import ModelPart

RIGHT = (480, 520, 810, 980)  # of 1,000, with 0 to 3 thoughts


def random_checkpoint(positions: int = 128, seed: int = 0) -> Checkpoint:
    """A model that was never trained, with the vocabulary and the card of a trained one."""
    preset = PRESETS["tiny"]
    part = ModelPart(
        layers=2, heads=4, width=32, feed_forward=48, positions=positions, initializer_range=0.3
    )
    model = new_model(part, [*preset.entities, *preset.concepts], seed).eval()
    accuracy = []
    for thoughts, right in enumerate(RIGHT):
        score = Score(right, 1000)
        low, high = score.interval
        accuracy.append(
            {"thoughts": thoughts, "right": right, "total": 1000, "accuracy": score.accuracy,
             "low": low, "high": high}
        )  # fmt: skip
    card = {"name": "random", "preset": "tiny", "accuracy": accuracy}
    return Checkpoint(model, model.tokenizer, Curriculum("coconut", max_stage=3), card)
