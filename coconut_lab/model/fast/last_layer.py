"""The last layer, run only where its output is read.

A question is not supervised, so of its columns only the last one's hidden state is ever used: it is
the first thought. Layers below the last are needed in full, because the next layer attends to every
column. Of the last layer only the keys and values are; its queries, its output projection and its
feed-forward part are left out where nobody reads the result. Nothing else changes: the hidden
states that are read, and all gradients, are those of the whole layer.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import Cache
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from coconut_lab.model.fast.cache import PreallocatedLayer, preallocated_cache


@dataclass
class _Skip:
    """How many of the first columns of a pass are not read, and whether they were left out."""

    skipped: int
    left_out: bool = False


_skip: ContextVar[_Skip | None] = ContextVar("skip", default=None)


def _llama_keys(layer: Any, hidden: Tensor, rotations: Any) -> tuple[Tensor, Tensor]:
    """Give the keys and values (B, H, t, d) of a layer built like Llama's (Qwen, Mistral, …)."""
    attention = layer.self_attn
    hidden = layer.input_layernorm(hidden)
    shape = (*hidden.shape[:-1], -1, attention.head_dim)
    keys = attention.k_proj(hidden).view(shape)
    if (norm := getattr(attention, "k_norm", None)) is not None:  # Qwen 3
        keys = norm(keys)
    keys = keys.transpose(1, 2)
    width = rotations[0].shape[-1]  # some architectures rotate only the first numbers of a head
    rotated, _ = apply_rotary_pos_emb(keys[..., :width], keys[:, :0, :, :width], *rotations)
    keys = rotated if width == keys.shape[-1] else torch.cat([rotated, keys[..., width:]], dim=-1)
    return keys, attention.v_proj(hidden).view(shape).transpose(1, 2)


def _gpt2_keys(layer: Any, hidden: Tensor, _: Any) -> tuple[Tensor, Tensor]:
    """Give the keys and values (B, H, t, d) of a layer built like GPT-2's."""
    attention = layer.attn
    _, keys, values = attention.c_attn(layer.ln_1(hidden)).split(attention.split_size, dim=2)
    shape = (*keys.shape[:-1], -1, attention.head_dim)
    return keys.view(shape).transpose(1, 2), values.view(shape).transpose(1, 2)


@dataclass(frozen=True)
class _Family:
    """A way to build layers: where a backbone has them, and how their keys are made."""

    layers: str  # attribute of the backbone
    attention: str  # attribute of a layer
    parts: tuple[str, ...]  # of a layer; all must be there
    keys: Callable[[Any, Tensor, Any], tuple[Tensor, Tensor]]  # from hidden states (B, t, d)
    square: bool  # whether the backbone insists on as many columns as went in


FAMILIES = (
    _Family(
        "layers",
        "self_attn",
        ("input_layernorm", "self_attn.k_proj", "self_attn.v_proj"),
        _llama_keys,
        square=False,
    ),
    _Family("h", "attn", ("ln_1", "attn.c_attn"), _gpt2_keys, square=True),
)


@contextmanager
def only_needed_from(column: int) -> Iterator[_Skip]:
    """Say that of the pass within, the hidden states before a column are not read.

    What the pass gives then ends in the hidden states from this column on. Those before it may be
    there or not, and mean nothing.
    """
    token = _skip.set(skip := _Skip(column))
    try:
        yield skip
    finally:
        _skip.reset(token)


def skipped_columns() -> int:
    """How many of the first columns of the pass within `only_needed_from` are not read."""
    skip = _skip.get()
    return skip.skipped if skip else 0


def skip_last_layer(backbone: Any) -> bool:
    """Let a backbone leave out what `only_needed_from` says is not read.

    Gives whether its last layer is built in a way that is known here. Whether the short way is
    right is for a trial to say; `keep_last_layer` undoes it.
    """
    family = _family(backbone)
    if family is None or [*map(type, preallocated_cache(backbone.config).layers[-1:])] != [
        PreallocatedLayer
    ]:
        return False
    layer = getattr(backbone, family.layers)[-1]
    layer.forwards_on_trial = _forwards(layer)
    if not skips_last_layer(backbone):
        layer.register_forward_pre_hook(_before, with_kwargs=True)
        if family.square:
            layer.register_forward_hook(_fill)
    return True


def keep_last_layer(backbone: Any) -> None:
    """Leave the last layer whole, as if `skip_last_layer` had never been."""
    if (family := _family(backbone)) is not None:
        layer = getattr(backbone, family.layers)[-1]
        for hooks in (layer._forward_pre_hooks, layer._forward_hooks):
            for key in [key for key, hook in hooks.items() if is_skipping_hook(hook)]:
                del hooks[key]
                layer._forward_pre_hooks_with_kwargs.pop(key, None)


def skips_last_layer(backbone: Any) -> bool:
    """Whether `skip_last_layer` has prepared this backbone."""
    if (family := _family(backbone)) is None:
        return False
    return _before in getattr(backbone, family.layers)[-1]._forward_pre_hooks.values()


def is_skipping_hook(hook: Any) -> bool:
    """Whether a hook is one of those that `skip_last_layer` leaves on a layer."""
    return hook in (_before, _fill)


def layers_of(backbone: Any) -> list[Any]:
    """The layers of a backbone, in order; none if it keeps them in a way not known here."""
    for family in FAMILIES:
        layers = getattr(backbone, family.layers, None)
        if isinstance(layers, nn.ModuleList):
            return list(layers)
    return []


def _family(backbone: Any) -> _Family | None:
    """Find how the layers of a backbone are built; None if that is not known here."""
    for family in FAMILIES:
        layers = getattr(backbone, family.layers, None)
        if isinstance(layers, nn.ModuleList) and len(layers):
            there = dict(layers[-1].named_modules())
            if all(part in there for part in family.parts):
                return family
    return None


def _forwards(layer: Any) -> set[Any]:
    """What runs in a layer and its parts: that of each class, unless an instance has its own."""
    own = (vars(part).get("forward", type(part).forward) for part in layer.modules())
    return {getattr(forward, "__func__", forward) for forward in own}


def _before(layer: Any, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict] | None:
    """Put the keys of the skipped columns into the cache, and let the layer run on the others."""
    if torch.compiler.is_compiling() or not (skip := _skip.get()) or not skip.skipped:
        return None
    skipped = skip.skipped
    family = next(family for family in FAMILIES if hasattr(layer, family.attention))
    attention = getattr(layer, family.attention)
    call = inspect.signature(layer.forward).bind(*args, **kwargs)
    hidden, mask = call.arguments["hidden_states"], call.arguments.get("attention_mask")
    rotations = call.arguments.get("position_embeddings")
    # The library has given this argument several names.
    cache = next((one for one in (*args, *kwargs.values()) if isinstance(one, Cache)), None)
    kept = hidden.shape[1] - skipped
    kind = attention.config._attn_implementation
    if kept < 1 or cache is None or kind not in ("sdpa", "eager"):
        return None
    if not _forwards(layer) <= layer.forwards_on_trial:  # somebody has changed what it computes
        return None
    early, late = hidden.split([skipped, kept], dim=1)
    first = None
    if rotations is not None:
        first = [angle[..., :skipped, :] for angle in rotations]
        call.arguments["position_embeddings"] = tuple(
            angle[..., skipped:, :] for angle in rotations
        )
    cache.update(*family.keys(layer, early, first), attention.layer_idx)
    if mask is not None:
        mask = mask[:, :, skipped:]
    elif kept > 1:  # without a mask, the library hides the future only in a full square
        columns = cache.get_seq_length(attention.layer_idx) + kept
        mask = torch.ones(kept, columns, dtype=torch.bool, device=hidden.device)
        mask = mask.tril(columns - kept)[None, None]
    call.arguments |= {"hidden_states": late, "attention_mask": mask}
    if "position_ids" in call.arguments:
        call.arguments["position_ids"] = call.arguments["position_ids"][:, skipped:]
    skip.left_out = True
    return call.args, call.kwargs


def _fill(layer: Any, args: tuple, output: Tensor) -> Tensor | None:
    """Put zeros where the skipped columns were."""
    skip = _skip.get()
    left_out = skip.skipped if skip and skip.left_out else 0
    return F.pad(output, (0, 0, left_out, 0)) if left_out else None
