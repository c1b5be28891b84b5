"""The passes of a Llama on a CPU with less traffic through memory, for generation.

A tiny model on a CPU waits for memory more than for products of matrices. In the library's layers
most of the time of a batch goes into rotating queries and keys, joining them to the cache and
attending row by row. Here the same weights make the same numbers, up to rounding, in fewer steps:
the two numbers that a position rotates together are side by side, so that rotating is one complex
product (Su et al. 2021, section 3.2), which writes straight into the cache, and the attention of
all heads of all rows is two products. Whatever is not exactly a Llama of the library, in single or
double precision on a CPU, without anybody's hooks, takes the library's own passes.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPast
from transformers.models.llama import modeling_llama as llama

from coconut_lab.model.fast.cache import EXTRA_COLUMNS, take_memory
from coconut_lab.model.fast.last_layer import is_skipping_hook, skipped_columns

#: What such a backbone is made of, besides its activation functions.
KNOWN = {
    llama.LlamaModel,
    llama.LlamaDecoderLayer,
    llama.LlamaAttention,
    llama.LlamaMLP,
    llama.LlamaRMSNorm,
    llama.LlamaRotaryEmbedding,
    nn.ModuleList,
    nn.Embedding,
    nn.Linear,
}

#: Folders of the code that such a backbone runs.
HOMES = tuple(str(Path(str(package.__file__)).parent) for package in (torch, transformers))

#: Up to this many scores of an attention, two plain products are faster than the fused kernel,
#: which goes through rows and heads one by one. Above, the scores would fill the memory.
FEW_SCORES = 2**21


def fused_llama(backbone: Any) -> FusedLlama | None:
    """Give what can run a backbone's passes in its place.

    None where only the library's own passes will do: gradients, training mode, another device,
    architecture or number format, adapters, hooks that want to see what goes on.
    """
    if type(backbone) is not llama.LlamaModel or backbone.training or torch.is_grad_enabled():
        return None
    modules = list(backbone.modules())
    layers: Any = backbone.layers
    kinds = KNOWN | {type(layer.mlp.act_fn) for layer in layers}
    hooks = (
        hook
        for module in modules
        for group in (module._forward_hooks, module._forward_pre_hooks)
        for hook in group.values()
    )
    weights = list(backbone.parameters())
    plain = (
        all(type(module) in kinds and _is_as_made(module) for module in modules)
        # The library's own hooks, which stay after hidden states were asked for, do nothing here.
        and all(is_skipping_hook(hook) or _is_at_home(hook) for hook in hooks)
        and all(weight.device.type == "cpu" for weight in weights)
        and {weight.dtype for weight in weights} in ({torch.float32}, {torch.float64})
        and backbone.config._attn_implementation == "sdpa"
        and not torch.is_autocast_enabled("cpu")
    )
    return FusedLlama(backbone) if plain else None


def _is_as_made(module: nn.Module) -> bool:
    """Whether neither a module nor its class has been given another `forward`."""
    return "forward" not in vars(module) and _is_at_home(type(module).forward)


def _is_at_home(function: Any) -> bool:
    """Whether a function is the library's or torch's own, by the file that its code is in."""
    return getattr(function, "__code__", _is_at_home.__code__).co_filename.startswith(HOMES)


class FusedLlama:
    """Runs a backbone's passes; called like the backbone, with a `FusedCache`.

    The weights of queries and keys are copied now, all others are read at every pass.
    """

    def __init__(self, backbone: Any) -> None:
        self.backbone = backbone
        self.paired = [
            [
                _side_by_side(part, attention.head_dim)
                for part in (attention.q_proj, attention.k_proj)
            ]
            for attention in (layer.self_attn for layer in backbone.layers)
        ]

    def cache(self, columns: int, recycled: FusedCache | None = None) -> FusedCache:
        """Make an empty cache; see there."""
        return FusedCache(self.backbone.layers, columns, recycled)

    def __call__(
        self,
        inputs_embeds: Tensor,
        attention_mask: Tensor | None,
        position_ids: Tensor,
        cache: FusedCache,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Run columns (B, t, d) after the n of a cache; give the hidden states that are read."""
        hidden, columns = inputs_embeds, inputs_embeds.shape[1]
        cache.make_room(hidden)
        # Without padding, all rows are at the same positions.
        places = position_ids if attention_mask is not None else position_ids[:1]
        cosine, sine = self.backbone.rotary_emb(hidden, places)
        half = cosine.shape[-1] // 2
        rotations = torch.complex(cosine[..., :half], sine[..., :half])[
            :, None
        ]  # (B or 1, 1, t, …)
        bias = _bias(attention_mask, cache.length, hidden)
        last = len(self.backbone.layers) - 1
        for index, layer in enumerate(self.backbone.layers):
            read = columns - skipped_columns() if index == last else columns
            hidden = self._layer(index, layer, hidden, rotations, bias, cache, read)
        cache.length += columns
        return BaseModelOutputWithPast(last_hidden_state=_norm(self.backbone.norm, hidden))

    def _layer(
        self,
        index: int,
        layer: Any,
        hidden: Tensor,
        rotations: Tensor,
        bias: Tensor | None,
        cache: FusedCache,
        read: int,
    ) -> Tensor:
        """Run one layer on (B, t, d); give the last `read` columns of what comes out."""
        attention, mlp = layer.self_attn, layer.mlp
        size = attention.head_dim
        to_queries, to_keys = self.paired[index]
        x = _norm(layer.input_layernorm, hidden)
        keys, values = cache.add(
            index, _heads(F.linear(x, *to_keys), size), rotations, _heads(attention.v_proj(x), size)
        )
        if read < hidden.shape[1]:
            hidden, x, rotations = hidden[:, -read:], x[:, -read:], rotations[:, :, -read:]
            bias = None if bias is None else bias[:, -read:]
        queries = _rotated(_heads(F.linear(x, *to_queries), size), rotations * attention.scaling)
        y = _attend(queries, keys, values, None if bias is None else bias[:, None])
        hidden = attention.o_proj(y.transpose(1, 2).flatten(2)).add_(hidden)
        x = _norm(layer.post_attention_layernorm, hidden)
        return mlp.down_proj(mlp.act_fn(mlp.gate_proj(x)).mul_(mlp.up_proj(x))).add_(hidden)


class FusedCache:
    """The keys and values of some rows; keys are rotated, with rotated pairs side by side.

    As in `preallocated_cache`, there is room for the expected columns at first, more is taken when
    it is needed, and the memory of a cache that is no longer needed may be used again.
    """

    def __init__(self, layers: Any, columns: int, recycled: FusedCache | None = None) -> None:
        self.layers, self.expected, self.length = layers, columns, 0
        self.memories: list[list[Tensor]] = []  # of each layer, keys and values (B, H, columns, d)
        self.recycled = [] if recycled is None else recycled.memories

    def __deepcopy__(self, _: dict) -> FusedCache:
        """Copy the keys and values, not the model."""
        twin = copy.copy(self)
        twin.memories = [[memory.clone() for memory in layer] for layer in self.memories]
        return twin

    def make_room(self, hidden: Tensor) -> None:
        """Make room in all layers for the columns of a pass, (B, t, d)."""
        rows, columns = hidden.shape[:2]
        stop = self.length + columns
        if not self.memories:
            columns = max(stop, self.expected)
            for index, layer in enumerate(self.layers):
                size = layer.self_attn.head_dim
                shape = (rows, layer.self_attn.k_proj.out_features // size, columns, size)
                old = self.recycled[index] if self.recycled else (None, None)
                self.memories.append([take_memory(memory, hidden, shape) for memory in old])
            self.recycled = []
        elif (lacking := stop - self.memories[0][0].shape[2]) > 0:
            more = (0, 0, 0, lacking + EXTRA_COLUMNS)
            self.memories = [[F.pad(memory, more) for memory in layer] for layer in self.memories]

    def add(
        self, index: int, keys: Tensor, rotations: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Rotate new keys (B, H, t, d), add them and their values to a layer; give all of it."""
        start, stop = self.length, self.length + values.shape[2]
        all_keys, all_values = self.memories[index]
        _rotated(keys, rotations, all_keys[:, :, start:stop])
        all_values[:, :, start:stop] = values
        return all_keys[:, :, :stop], all_values[:, :, :stop]

    def reorder_cache(self, indices: Tensor) -> None:
        """Keep only some rows, as the library's caches do."""
        self.memories = [[memory[indices] for memory in layer] for layer in self.memories]


def _side_by_side(projection: nn.Linear, size: int) -> list[Any]:
    """Give weight and bias so that numbers i and i + size / 2 of a head come out side by side."""
    return [
        None
        if part is None
        else part.detach().unflatten(0, (-1, 2, size // 2)).transpose(1, 2).flatten(0, 2)
        for part in (projection.weight, projection.bias)
    ]


def _heads(numbers: Tensor, size: int) -> Tensor:
    """See (B, t, H d) as (B, H, t, d)."""
    return numbers.unflatten(-1, (-1, size)).transpose(1, 2)


def _rotated(numbers: Tensor, rotations: Tensor, out: Tensor | None = None) -> Tensor:
    """Rotate the pairs of (B, H, t, d) by complex (B or 1, 1, t, d / 2)."""
    if out is None:
        out = numbers.new_empty(numbers.shape)
    pairs, rotated = (torch.view_as_complex(n.unflatten(-1, (-1, 2))) for n in (numbers, out))
    torch.mul(pairs, rotations, out=rotated)
    return out


def _attend(queries: Tensor, keys: Tensor, values: Tensor, bias: Tensor | None) -> Tensor:
    """Mix values (B, H', T, d) by what scaled queries (B, H, t, d) find in keys (B, H', T, d).

    H / H' heads in a row share their keys and values. A bias (B or 1, 1, t, T) adds to the scores.
    """
    rows, heads, columns, size = queries.shape
    shared = heads // keys.shape[1]
    if rows * heads * columns * keys.shape[2] > FEW_SCORES:
        return F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=bias, scale=1.0, enable_gqa=shared > 1
        )
    # Queries that share their keys are put below each other.
    stacked = queries.view(rows * heads // shared, shared * columns, size)
    scores = stacked.bmm(keys.flatten(0, 1).transpose(1, 2)).view(rows, heads, columns, -1)
    if bias is not None:
        scores.add_(bias)
    shares = scores.softmax(-1).view(*stacked.shape[:2], -1)
    return shares.bmm(values.flatten(0, 1)).view(queries.shape)


def _norm(norm: Any, hidden: Tensor) -> Tensor:
    return F.rms_norm(hidden, norm.weight.shape, norm.weight, norm.variance_epsilon)


def _bias(real: Tensor | None, before: int, hidden: Tensor) -> Tensor | None:
    """Say what new columns may look at: (B or 1, t, n + t), 0 or minus infinity; None: everything.

    They look at real columns up to themselves, and at themselves in any case: padding looks at
    nothing else, and of nothing at all there is no average.
    """
    columns = hidden.shape[1]
    if real is None and columns == 1:
        return None
    there = torch.arange(before + columns, device=hidden.device)
    here = there[before:, None]
    seen = (there <= here)[None]
    if real is not None:
        seen = seen & real[:, None, :].bool() | (there == here)
    return hidden.new_zeros(seen.shape).masked_fill_(~seen, -torch.inf)
