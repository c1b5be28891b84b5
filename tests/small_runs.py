"""A recipe of nine steps, and what its runs leave behind."""

import json

import torch

from coconut_lab.training.trainer import Trainer

SMALL = """
name: trial
seed: 3
batch_size: 8
problems: {preset: tiny, count: 40, seed: 1}
model: {layers: 1, heads: 2, width: 16, feed_forward: 16, positions: 96}
curriculum: {method: coconut, max_stage: 2, mix_probability: 0.3}
phases:
  - {stage: 0, steps: 3}
  - {stage: 1, steps: 3}
  - {stage: 3, steps: 3, mix_probability: 0.0}
optimizer: {lr: 1e-2, warmup_steps: 2}
"""


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(folder):
    entries = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in entry.items() if k != "seconds"} for entry in entries]


def log_lines(folder):
    path = folder / "log.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def trainer(recipe, folder, **options):
    return Trainer(recipe, folder, progress=False, **options)
