"""The passes of a batch through a backbone, piece by piece, behind one key-value cache.

The only door between the method (`coconut.py`, and `generate`) and what makes it fast or small
(`fast/`). Without any of that, a call is

    backbone(inputs_embeds=inputs, attention_mask=mask[:, :stop], past_key_values=cache,
             position_ids=position_ids, use_cache=True).last_hidden_state

and the numbers are the same, up to rounding: `Coconut(…, fast=False)`.
"""

from __future__ import annotations

import copy
import functools
import inspect
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from coconut_lab.model.fast.activation_checkpointing import recomputing
from coconut_lab.model.fast.cache import give_back_memory, keep_freed_memory, preallocated_cache
from coconut_lab.model.fast.last_layer import (
    keep_last_layer,
    only_needed_from,
    skip_last_layer,
    skips_last_layer,
)
from coconut_lab.model.fast.llama_on_cpu import fused_llama
from coconut_lab.model.modes import attentive, check_not_trained
from coconut_lab.model.outputs import ModelError, join_attentions, join_layers

__all__ = ["Passes", "give_back_memory", "keep_last_layer", "prepare", "skips_last_layer"]


def prepare(backbone: Any) -> bool:
    """Let a backbone take the shortcuts that it can; give whether its last layer is one of them."""
    keep_freed_memory()
    return skip_last_layer(backbone)


@functools.cache
def _keeping_states(kind: Any) -> Any:
    """A kind of layer of linear attention that leaves old states to the backward passes.

    The library's own writes the new ones over them.
    """

    def writes(name: str) -> Any:
        def update(self: Any, *args: Any, **kwargs: Any) -> Tensor:
            old = getattr(self, f"{name}_states")  # one, or several by their numbers
            several = isinstance(old, dict)
            new = {key: _copied(one) for key, one in old.items()} if several else _copied(old)
            setattr(self, f"{name}_states", new)
            return getattr(kind, f"update_{name}_state")(self, *args, **kwargs)

        return update

    own = {f"update_{name}_state": writes(name) for name in ("conv", "recurrent")}
    return type(kind.__name__, (kind,), own)


def _copied(state: Tensor | None) -> Tensor | None:
    return None if state is None else state.clone()


def cache_argument(backbone: Any) -> str:
    """Find what a backbone calls its cache: the library renames it in version 5.24."""
    for forward in (backbone.forward, type(backbone).forward):
        for name in ("cache", "past_key_values"):
            if name in inspect.signature(forward).parameters:
                return name
    raise ModelError(f"{type(backbone).__name__} takes no key-value cache")


class Passes:
    """Runs pieces of a batch, left to right; each piece sees those before it.

    Args:
        model: the `Coconut`.
        output_attentions: also keep the attention weights.
        output_hidden_states: also keep the hidden states of all layers.
        recompute: keep little of the first piece for the backward pass and compute it again there.
        room: for how many columns after the batch to make room, where text will be generated.
    """

    def __init__(
        self,
        model: Any,
        *,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
        recompute: bool = False,
        room: int | None = None,
    ) -> None:
        self.model, self.recompute, self.room = model, recompute, room or 0
        self.attentions, self.layers = output_attentions, bool(output_hidden_states)
        check_not_trained(model)
        self.attentive = attentive(model.backbone) if output_attentions else None
        # Without gradients, a Llama on a CPU has passes with less traffic through memory.
        self.fused = fused_llama(model.backbone) if model.fast and room is not None else None
        self.cache: Any = None
        self.mask: Any = None

    def start(self, mask: Tensor, unread: int = 0) -> Passes:
        """Begin a batch, with an empty cache that may use the memory of the one before.

        Args:
            mask: (B, T), 1 for real tokens.
            unread: how many of the first columns nobody will read: the last layer may be left out
                there.
        """
        columns = mask.shape[1] + self.room
        if self.fused is not None:
            self.cache = self.fused.cache(columns, self.cache)
        elif self.model.fast:
            self.cache = preallocated_cache(self.model.config, columns, self.cache)
        else:
            self.cache = DynamicCache(config=self.model.config)
        for layer in getattr(self.cache, "layers", ()) if torch.is_grad_enabled() else ():
            if hasattr(layer, "update_recurrent_state"):
                kind: Any = type(layer)
                layer.__class__ = _keeping_states(kind)
        # Without padding there is nothing to mask but the future, which the model does itself.
        self.mask = None if bool(mask.all()) else mask
        # Attention weights and hidden states of all layers are asked for in every column.
        self.skipped = 0 if self.attentions or self.layers or not self.model.fast else unread
        self.stop, self.left_out = 0, False
        self.outputs: list[Any] = []  # of each piece, if more than the last layer is wanted
        return self

    def __call__(self, inputs: Tensor, position_ids: Tensor) -> Tensor:
        """Run the next piece.

        Args:
            inputs: (B, t, d) input embeddings.
            position_ids: (B, t).

        Returns:
            (B, t, d) last hidden states, after the final normalisation; of the first piece, without
            the columns that nobody reads.
        """
        first, self.stop = not self.stop, self.stop + inputs.shape[1]
        skipped = self.skipped if first else 0
        again = self.recompute and first and self.model.fast and torch.is_grad_enabled()
        runs: Any = self.fused or self.attentive or self.model.backbone
        cache = {"cache" if self.fused else cache_argument(runs): self.cache}
        seen = self.mask[:, : self.stop] if self.mask is not None else None
        if self.mask is not None and not (first or self.model.late_padding):
            still = self.mask[:, self.stop - inputs.shape[1] :].long()
            if bool((still.diff(dim=1) > 0).any()):
                raise ModelError(
                    f"{type(self.model.language_model).__name__} takes padding for tokens after "
                    "the first thought of a batch; give rows with the same number of thoughts, or "
                    "one row at a time (batch_size=1)"
                )
        with (
            only_needed_from(skipped) as skip,
            recomputing(self.model.backbone) if again else nullcontext(),
        ):
            output = runs(
                inputs_embeds=inputs,
                attention_mask=seen,
                position_ids=position_ids,
                **cache,
                use_cache=True,
                output_attentions=self.attentions,
                output_hidden_states=self.layers,
            )
        self.left_out |= skip.left_out
        if self.attentions or self.layers:
            self.outputs.append(output)
        return output.last_hidden_state[:, skipped - inputs.shape[1] :]

    def kept(self) -> tuple[Any, int, tuple[Tensor, ...] | None, tuple[Tensor, ...] | None]:
        """The cache, the first column that was not left out, attention weights and all layers."""
        return (
            self.cache,
            self.skipped,
            join_attentions(self.outputs) if self.attentions else None,
            join_layers(self.outputs) if self.layers else None,
        )

    def extend(self, real: Tensor) -> None:
        """Add columns (B, t) after the batch; `real` says which are no padding."""
        if self.mask is None and not bool(real.all()):
            self.mask = real.new_ones(len(real), self.stop)
        if self.mask is not None:
            self.mask = torch.cat([self.mask, real], dim=1)

    def keep_rows(self, rows: Tensor) -> None:
        """Let all rows but these leave the batch."""
        self.cache.reorder_cache(rows)
        if self.mask is not None:
            mask = self.mask[rows]
            self.mask = None if bool(mask.all()) else mask

    def fork(self, rows: Tensor) -> Passes:
        """A copy of some rows that can read on by itself."""
        twin = copy.copy(self)
        twin.cache = copy.deepcopy(self.cache)
        twin.keep_rows(rows)
        return twin
