"""All thoughts at once, refined in rounds: Jacobi in place of one after the other.

Thought k + 1 is what comes out of the model at thought k, which makes n thoughts a system of n
equations. The sequential passes solve it from the first to the last. Jacobi's way starts with a
guess for all of them, and each round sets every thought from the guesses of the round before. After
round t the first t + 1 thoughts are exact, so n - 1 rounds give the sequential result; fewer are a
gamble (for thoughts: Wu et al. 2025, arXiv:2506.18582; for tokens: Song et al. 2021).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor

from coconut_lab.errors import check_whole
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import LatentOutput, ModelError
from coconut_lab.model.passes import Passes
from coconut_lab.model.support import check_batch


def parallel_thoughts(model: Coconut, batch: Mapping[str, Tensor], rounds: int) -> LatentOutput:
    """Think all thoughts of a batch in T rounds; gradient flows.

    The first guess is the embedding of `<thought>`; the first thought is exact from the start. To
    let a model write after these thoughts, or train it on them, feed them with
    `edit=put(output.thoughts)`, in `generate` or in the model itself.

    Every pass goes over the whole batch, without a cache: here it is the number of passes, one
    after the other, that is saved, and not the work.

    Args:
        model: the model.
        batch: as `collate` or `pad_prompts` make it, with the placeholders of each row in a piece.
        rounds: T, from 0.

    Returns:
        As `latent_states` gives it, after T + 2 passes: one for the first thought, T rounds, and
        one that reads the thoughts and what follows them.

    Raises:
        ModelError: rounds below 0, no thoughts, or a batch that `latent_states` would refuse.
    """
    check_whole("rounds", rounds, 0, ModelError)
    input_ids = batch["input_ids"]
    found = (batch.get(name) for name in ("attention_mask", "position_ids"))
    mask, positions, is_thought = check_batch(model, input_ids, *found)
    counts = is_thought.sum(1)  # (B,)
    most = int(counts.max())
    if not most:
        raise ModelError("there are no thoughts in this batch; its rows need <thought>")
    if rounds > max(0, most - 1):
        warnings.warn(
            f"{rounds} rounds of {most} thoughts: after {most - 1} nothing changes any more, so "
            "that many are made",
            stacklevel=2,
        )
        rounds = most - 1
    first = is_thought & ~is_thought.roll(1, 1)  # (B, T), thought 1 of each row
    guess = embedded = model.embed(input_ids)  # (B, T, d)
    for number in range(rounds + 1):
        run = Passes(model).start(mask)
        before = run(guess, positions).roll(1, 1)  # what came out one column earlier
        here = is_thought if number else first
        guess = torch.where(here[..., None], before.to(embedded.dtype), embedded)
    run = Passes(model).start(mask)
    hidden = run(guess, positions)
    order = is_thought.int().argsort(dim=1, descending=True, stable=True)[:, :most, None]  # (B, n)
    real = (torch.arange(most, device=counts.device) < counts[:, None])[..., None]
    thoughts = guess.gather(1, order.expand(-1, -1, guess.shape[2])) * real  # (B, n, d)
    return LatentOutput(hidden, thoughts, counts, rounds + 2, *run.kept())
