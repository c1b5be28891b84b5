"""Which models and batches the latent forward works with; the others are refused in words."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED
from coconut_lab.model.outputs import ModelError


def unwrapped(language_model: Any) -> Any:
    """The model within what `peft` has put around it; its adapters are inside of its layers."""
    if not hasattr(language_model, "get_base_model"):
        return language_model
    kinds = [config.peft_type for config in language_model.peft_config.values()]
    if any(config.is_prompt_learning for config in language_model.peft_config.values()):
        raise ModelError(
            f"{type(language_model).__name__} adds tokens of its own to every prompt "
            f"({', '.join(kinds)}); use adapters that are inside of layers, such as LoRA"
        )
    return language_model.get_base_model()


def check_model(model: Any) -> None:
    """Make sure that a model writes text and has an embedding for every token."""
    language_model, tokenizer = model.language_model, model.tokenizer
    embeddings = (language_model.get_input_embeddings(), language_model.get_output_embeddings())
    if getattr(language_model.config, "is_encoder_decoder", False) or not all(
        hasattr(one, "weight") for one in embeddings
    ):
        raise ModelError(
            f"{type(language_model).__name__} is no decoder-only language model; "
            "load one with AutoModelForCausalLM"
        )
    rows = embeddings[0].weight.shape[0]
    if rows < len(tokenizer):
        raise ModelError(
            f"the tokenizer has {len(tokenizer)} tokens but the model embeds only {rows}; call "
            "language_model.resize_token_embeddings(len(tokenizer))"
        )


def check_batch(
    model: Any, input_ids: Tensor, mask: Tensor | None, position_ids: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Complete and check a batch; give mask, position ids and where its thoughts are, (B, T)."""
    kind = model.language_model.get_input_embeddings().weight.dtype
    if not kind.is_floating_point or kind.itemsize < 2:
        raise ModelError(f"the weights are {kind}; take float32, float64, bfloat16 or float16")
    _check("input_ids", input_ids, input_ids, model)
    if input_ids.ndim != 2 or 0 in input_ids.shape:
        raise ModelError(
            f"input_ids must be (rows, columns), at least one of each, not {tuple(input_ids.shape)}"
        )
    if mask is None:
        mask = torch.ones_like(input_ids)
    _check("attention_mask", mask, input_ids, model)
    if position_ids is None:
        position_ids = (mask.long().cumsum(1) - 1).clamp(min=0)
    _check("position_ids", position_ids, input_ids, model)
    is_thought = (input_ids == model.tokens.thought) & mask.bool()
    before = F.pad(mask.bool()[:, :-1], (1, 0))
    orphans = (is_thought & ~before).nonzero()
    if len(orphans):
        row, column = orphans[0].tolist()
        raise ModelError(
            f"row {row} has a <thought> at column {column} with no token before it, so there "
            "is no hidden state to feed back; a thought follows <bot>"
        )
    limit = model.positions
    if limit is not None and (longest := int(position_ids.max()) + 1) > limit:
        row = int(position_ids.max(1).values.argmax())
        raise ModelError(
            f"row {row} has {longest} positions but the model only {limit}; use shorter "
            "problems, fewer thoughts, or a model with more positions"
        )
    if model.untrainable and torch.is_grad_enabled():
        raise ModelError(
            f"{type(model.language_model).__name__} can be read under torch.no_grad() and "
            f"generate, but not trained: {model.untrainable}"
        )
    if model.training and getattr(model.backbone, "gradient_checkpointing", False):
        raise ModelError(
            "gradient checkpointing drops the key-value cache that the latent forward needs; "
            "call language_model.gradient_checkpointing_disable() and use recompute=True"
        )
    return mask, position_ids, is_thought


def next_tokens(model: Any, input_ids: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Shift labels, so that each position has its next token, and say which count: (B, T) each."""
    _check("input_ids", input_ids, input_ids, model)
    _check("labels", labels, input_ids, model)
    targets = F.pad(labels[:, 1:].long(), (0, 1), value=IGNORED)
    labelled = targets != IGNORED
    if not bool(labelled.any()):
        raise ModelError("no position of the batch is labelled, so there is no loss")
    return targets, labelled


def _check(name: str, tensor: Any, like: Any, model: Any) -> None:
    """Raise a ModelError unless a part of a batch is what it should be."""
    if not isinstance(tensor, Tensor):
        raise ModelError(
            f"{name} must be a tensor of shape (rows, columns), as collate makes it, not a "
            f"{type(tensor).__name__}"
        )
    if tensor.shape != like.shape:
        shapes = f"{tuple(tensor.shape)}, input_ids {tuple(like.shape)}"
        # labels "have", a mask "has"
        raise ModelError(f"{name} {'have' if name == 'labels' else 'has'} shape {shapes}")
    if tensor.device != model.device or tensor.is_meta:
        raise ModelError(
            f"{name} on the device {tensor.device} for a model on {model.device}; move both to one "
            "that holds numbers"
        )
    if name != "attention_mask" and tensor.dtype not in (torch.int64, torch.int32):
        raise ModelError(f"{name} of type {tensor.dtype}; give whole numbers, torch.int64")
    tokens = model.language_model.get_input_embeddings().weight.shape[0]
    most = {"attention_mask": 1, "position_ids": math.inf}.get(name, tokens - 1)
    outside = ~((tensor >= 0) & (tensor <= most))
    if name == "labels":
        outside &= tensor != IGNORED
    if bool(outside.any()):
        row, column = outside.nonzero()[0].tolist()
        raise ModelError(
            f"{name}: row {row} has {tensor[row, column].item()} in column {column}; it must be 0 "
            f"to {most}{f' or {IGNORED}' if name == 'labels' else ''}"
        )
