"""What the passes of the latent forward give, and how their parts are put together."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.errors import ShortError


class ModelError(ShortError, ValueError):
    """A model, batch or folder that Coconut cannot work with; the message says why."""


def unfit_weights(
    missing: Collection[str], unknown: Collection[str], resized: Collection[str] = ()
) -> str:
    """Say how weights do not fit a model, with three names for each fault; nothing if they do."""
    faults = {
        "it lacks {} weights": missing,
        "it has {} weights that the model does not know": unknown,
        "{} weights have another size": resized,
    }
    return "; ".join(
        f"{fault.format(len(names))}, such as {', '.join(sorted(names)[:3])}"
        for fault, names in faults.items()
        if names
    )


@dataclass
class LatentOutput:
    """What the passes over a batch give.

    Attributes:
        hidden: (B, T - first_column, d) last hidden states, after the final normalisation.
        thoughts: (B, n, d) the vectors that were fed back, row by row in order; rows with fewer
            than n thoughts end in zeros.
        thought_counts: (B,) how many thoughts each row has.
        passes: how many forward passes it took.
        cache: the keys and values of all T positions.
        first_column: the column of `hidden[:, 0]`; 0 unless `read_from` left columns out.
        attentions: one (B, heads, T, T) tensor per layer, or None if not asked for.
        hidden_states: one (B, T, d) tensor per layer and one for the embeddings, or None.
    """

    hidden: Tensor
    thoughts: Tensor
    thought_counts: Tensor
    passes: int
    cache: Any
    first_column: int = 0
    attentions: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None


@dataclass
class CoconutOutput:
    """Result of `Coconut.forward`.

    Attributes:
        loss: mean negative log-likelihood over the labelled positions, or None without labels.
        logits: (B, T, V) without labels; with labels (M, V), only at the M positions whose next
            token is labelled, in row order: the head is costly and not needed elsewhere.
        labelled: (B, T) bool, True at those M positions; None without labels.
        thoughts, thought_counts, passes, attentions, hidden_states: see `LatentOutput`.
    """

    loss: Tensor | None
    logits: Tensor
    labelled: Tensor | None
    thoughts: Tensor
    thought_counts: Tensor
    passes: int
    attentions: tuple[Tensor, ...] | None = None
    hidden_states: tuple[Tensor, ...] | None = None

    @classmethod
    def of(
        cls,
        states: LatentOutput,
        logits: Tensor,
        loss: Tensor | None = None,
        labelled: Tensor | None = None,
    ) -> CoconutOutput:
        """Put what was predicted beside what was thought."""
        names = ("thoughts", "thought_counts", "passes", "attentions", "hidden_states")
        return cls(loss, logits, labelled, **{name: getattr(states, name) for name in names})


def gather_thoughts(
    fed_back: list[Tensor], is_thought: Tensor, columns: list[int], embeds: Tensor
) -> tuple[Tensor, Tensor]:
    """Sort the vectors of each pass (B, d) into rows: (B, n, d), zeros after the last one."""
    counts = is_thought.sum(1)  # (B,)
    if not fed_back:
        return embeds.new_zeros(len(counts), 0, embeds.shape[-1]), counts
    by_pass = torch.stack(fed_back, dim=1)  # (B, passes - 1, d)
    used = is_thought[:, columns]  # (B, passes - 1)
    # A stable sort brings the passes a row took part in to the front, in order.
    order = used.int().argsort(dim=1, descending=True, stable=True)[:, : int(counts.max())]
    thoughts = by_pass.gather(1, order[..., None].expand(-1, -1, by_pass.shape[-1]))
    real = torch.arange(order.shape[1], device=order.device) < counts[:, None]
    return thoughts * real[..., None], counts


def join_attentions(outputs: list[Any]) -> tuple[Tensor, ...]:
    """Join each layer's (B, heads, q, k) weights of all passes to (B, heads, T, T)."""
    ends = list(accumulate(output.last_hidden_state.shape[1] for output in outputs))
    layers = zip(*(output.attentions for output in outputs), strict=True)
    return tuple(
        # A sliding window may have forgotten the first columns, so k is counted from the last one.
        torch.cat(
            [
                F.pad(part, (end - part.shape[-1], ends[-1] - end))
                for part, end in zip(layer, ends, strict=True)
            ],
            dim=2,
        )
        for layer in layers
    )


def join_layers(outputs: list[Any]) -> tuple[Tensor, ...]:
    """Join each layer's (B, q, d) hidden states of all passes to (B, T, d)."""
    layers = zip(*(output.hidden_states for output in outputs), strict=True)
    return tuple(torch.cat(layer, dim=1) for layer in layers)
