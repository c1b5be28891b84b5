"""What a latent training step costs beside a plain language-model step on the same tokens.

Both are measured in turns within one run, so that a busy machine slows both. Batch 64, 52 tokens,
3 thoughts, the tiny model, 2 threads, AdamW included.
"""

from __future__ import annotations

import statistics
import time

import torch

from coconut_lab.model.coconut import Coconut
from coconut_lab.tasks.prosqa import PRESETS
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import new_model

ROWS, COLUMNS, THOUGHTS, THREADS, ROUNDS = 64, 52, 3, 2, 60


def batch(model: Coconut) -> dict[str, torch.Tensor]:
    """Random question of 44 tokens, `<bot>`, 3 thoughts, `<eot>`, and 3 labelled tokens."""
    tokens, tokenizer = model.tokens, model.tokenizer
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(6, len(tokenizer) - 3, (ROWS, COLUMNS), generator=generator)
    tail = [tokens.bot, *[tokens.thought] * THOUGHTS, tokens.eot]
    ids[:, COLUMNS - 3 - len(tail) : COLUMNS - 3] = torch.tensor(tail)
    labels = ids.clone()
    labels[:, : COLUMNS - 3] = -100
    return {"input_ids": ids, "labels": labels}


def main() -> None:
    """Print the median times and their ratio."""
    torch.set_num_threads(THREADS)
    preset = PRESETS["tiny"]
    model = new_model(ModelPart(), [*preset.entities, *preset.concepts], seed=0).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    latent = batch(model)
    ids = latent["input_ids"]

    def plain_loss() -> torch.Tensor:
        output = model.language_model(input_ids=ids, labels=ids, use_cache=False)
        return output.loss

    def latent_loss() -> torch.Tensor:
        loss = model(**latent).loss
        assert loss is not None
        return loss

    times: dict[str, list[float]] = {"plain": [], "latent": []}
    for turn in range(ROUNDS + 5):
        for name, loss in (("plain", plain_loss), ("latent", latent_loss)):
            began = time.perf_counter()
            loss().backward()
            optimizer.step()
            optimizer.zero_grad()
            if turn >= 5:
                times[name].append(time.perf_counter() - began)
    plain, thinking = (statistics.median(times[name]) * 1e3 for name in ("plain", "latent"))
    print(
        f"training step, batch {ROWS} x {COLUMNS} tokens, {THREADS} threads: plain {plain:.1f} ms, "
        f"latent with {THOUGHTS} thoughts {thinking:.1f} ms, ratio {thinking / plain:.2f} "
        "(median; at most 1.40 wanted)"
    )


if __name__ == "__main__":
    main()
