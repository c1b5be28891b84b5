"""Choosing the next token: the most probable one, or one drawn from the model's distribution.

Every prompt has its own generator, made from the seed and the prompt's number. So what is
drawn for one prompt does not depend on which others share its batch.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from coconut_lab.errors import check_whole


@dataclass(frozen=True)
class Sampling:
    """How to draw tokens; leave it out for greedy decoding.

    Args:
        temperature: logits are divided by it; below 1 the draw keeps closer to the most probable.
        top_p: draw only among the most probable tokens that together hold this much probability.
        seed: a number from 0 on; the same seed draws the same tokens.
        first: the number of the first prompt. A list of prompts that is worked off in parts gives
            the same texts as in one call if each part says where it starts.

    Raises:
        ValueError: a setting is out of range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    seed: int = 0
    first: int = 0

    def __post_init__(self) -> None:
        heat, top_p = self.temperature, self.top_p
        if not isinstance(heat, int | float) or not 0 < heat < math.inf:
            raise ValueError(
                f"temperature is {heat!r:.80}; it must be above 0 (leave sampling out for greedy "
                "decoding)"
            )
        if not isinstance(top_p, int | float) or not 0 < top_p <= 1:
            raise ValueError(f"top_p is {top_p!r:.80}; it must be above 0 and at most 1")
        check_whole("seed", self.seed, 0)
        check_whole("first", self.first, 0)

    def draws(self, prompts: int, tokens: int) -> Tensor:
        """Draw the uniform random numbers that decide every token: (prompts, tokens) float64."""
        rows = []
        for number in range(self.first, self.first + prompts):
            digest = hashlib.sha256(f"{self.seed} {number}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
            rows.append(torch.rand(tokens, generator=generator, dtype=torch.float64))
        return torch.stack(rows)

    def choose(self, logits: Tensor, draws: Tensor) -> Tensor:
        """Turn logits (B, V) and one random number per row (B,) into one token per row (B,)."""
        probabilities = torch.softmax(logits.double() / self.temperature, dim=-1)
        ordered, tokens = probabilities.sort(dim=-1, descending=True, stable=True)  # (B, V)
        total = ordered.cumsum(-1)
        # A token stays if those before it hold less than top_p; the first one always does.
        kept = ordered * (total - ordered < self.top_p)
        total = kept.cumsum(-1)
        goal = draws.to(total.device)[:, None] * total[:, -1:]  # (B, 1)
        place = (total <= goal).sum(-1, keepdim=True)
        # Rounding may put the goal on the very end, where no token that was kept is left.
        last = (kept > 0).sum(-1, keepdim=True) - 1
        return tokens.gather(-1, torch.minimum(place, last))[:, 0]
