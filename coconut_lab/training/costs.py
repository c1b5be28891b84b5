"""What a model costs: floating-point operations and memory of a batch, by formulas.

The formulas are held against torch's own count of operations, and against the memory that autograd
keeps, in tests/training/test_estimate.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from coconut_lab.model.coconut import Coconut
from coconut_lab.model.passes import skips_last_layer

#: The maps that make keys and values; GPT-2 has one for these and the queries.
KEY_MAPS = {"k_proj", "v_proj", "c_attn"}


class Shape:
    """What the formulas need to know about a model, counted on the model itself."""

    def __init__(self, model: Coconut) -> None:
        config = model.config.get_text_config()
        self.layers, self.width = config.num_hidden_layers, config.hidden_size
        self.heads = config.num_attention_heads
        size = getattr(config, "head_dim", None) or self.width // self.heads
        self.queries = size * self.heads  # width of all query heads, and of all key heads
        self.keys = size * (getattr(config, "num_key_value_heads", None) or self.heads)
        inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
        self.feed_forward = inner or 4 * self.width
        self.vocabulary = model.language_model.get_output_embeddings().weight.shape[0]
        act = getattr(config, "hidden_act", None) or getattr(config, "activation_function", "")
        self.composed = act in ("gelu_new", "gelu_fast")  # made of several operations
        self.dropout = any(getattr(config, key, 0) for key in ("resid_pdrop", "hidden_dropout"))
        self.eager = config._attn_implementation == "eager"  # attention keeps its weights
        self.gated = False  # whether the feed-forward part multiplies by a gate (Llama, Qwen)
        self.norms = 0.0  # elements per token that the normalisations of one layer keep
        linear: list[Tensor] = []  # matrices in layers, which multiply every token
        # What columns that nobody reads are spared in the last layer: all but keys and values.
        spared: list[Tensor] = []
        last = rf"\.{self.layers - 1}\." if skips_last_layer(model.backbone) else "$^"
        for name, module in model.backbone.named_modules():
            weight = getattr(module, "weight", None)
            if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
                linear.append(module.weight)
                self.gated |= "gate" in name
                if re.search(last, name) and not KEY_MAPS & set(name.split(".")):
                    spared.append(module.weight)
            elif "Norm" in type(module).__name__ and weight is not None and "." in name:
                per_head = self.queries if "q_" in name else self.keys
                # A LayerNorm keeps its input; the library's RMSNorm also the normalised one.
                kept = 1 if isinstance(module, nn.LayerNorm) else 2
                width = self.width if weight.numel() == self.width else per_head
                self.norms += kept * width
        self.norms /= self.layers
        self.readers = max(0, len(linear) // self.layers - 2)  # maps of a layer that read a norm
        self.parameters, self.trained = _count(model.parameters())
        self.linear, self.linear_trained = _count(linear)
        self.spared, self.spared_trained = _count(spared)


def _count(weights: Iterable[Tensor]) -> tuple[int, int]:
    """Count numbers: all, and those that get gradient."""
    sizes = [(weight.numel(), weight.requires_grad) for weight in weights]
    return sum(size for size, _ in sizes), sum(size for size, trained in sizes if trained)


def pass_flops(
    shape: Shape,
    rows: int,
    columns: int,
    thought_columns: Sequence[int],
    labelled: int,
    first_read: int = 0,
    recompute: bool = False,
) -> list[int]:
    """Count the floating-point operations of each pass over a batch, forward and backward.

    A matrix of N weights takes 2N operations per token forward, and as many again for each of the
    two gradients: 6N in all (Kaplan et al. 2020, arXiv 2001.08361, section 2.1). Attention from m
    columns to k takes 4·m·k·d forward and twice that backward, for the full square: kernels that
    skip the future do half. Padding is computed as anything else is.

    `labelled` positions are read by the head, columns before `first_read` are not.
    """
    per_token = 4 * shape.linear + 2 * shape.linear_trained
    counts = []
    for start, stop in pairwise([0, *thought_columns, columns]):
        attention = 12 * (stop - start) * stop * shape.queries * shape.layers
        counts.append(rows * ((stop - start) * per_token + attention))
    first_pass = thought_columns[0] if thought_columns else columns
    if recompute:  # all layers but the last, and of each all but its last map
        again = 2 * (shape.linear // shape.layers - shape.feed_forward * shape.width)
        again += 4 * first_pass * shape.queries
        counts[0] += rows * first_pass * (shape.layers - 1) * again
    if shape.spared:
        unread = min([first_read, *(column - 1 for column in thought_columns[:1])])
        per_token = 4 * shape.spared + 2 * shape.spared_trained
        counts[0] -= rows * unread * (per_token + 12 * first_pass * shape.queries)
    head = shape.vocabulary * shape.width
    counts[-1] += labelled * head * (6 if shape.trained > shape.linear_trained else 4)
    return counts


def activation_bytes(
    shape: Shape,
    rows: int,
    columns: int,
    labelled: int,
    *,
    thoughts: int,
    bf16: bool,
    unread: int = 0,
    recompute: bool = False,
) -> int:
    """Estimate the bytes that the forward passes keep for the backward pass.

    Counted per token and layer (as in Korthikanti et al. 2022, arXiv 2205.05198, section 4.1) for
    the library's modules under autocast, which leaves hidden states in float32. Logits are at
    labelled positions only. Adapters are counted as if each read a norm; a mixture of experts as
    if all were used.
    """
    width, queries, keys = shape.width, shape.queries, shape.keys
    size = 2 if bf16 else 4
    # The inputs of the linear maps: under autocast, each map that reads a norm has its own copy.
    inputs = queries + width * (shape.readers if bf16 else 2)
    # The shared memory of keys and values (`cache.py`); the first pass has its own.
    attention = 2 * queries + 2 * keys + (2 * keys if thoughts else 0)
    feed_forward = shape.feed_forward * (4 if shape.gated else 5 if shape.composed else 2)
    masks = 4 * columns + (2 * width if shape.dropout else 0)
    per_layer = 4 * shape.norms + size * (inputs + attention + feed_forward) + masks
    if shape.eager:
        per_layer += shape.heads * columns * (4 + size)
    around = 4 * 4 * width  # embeddings, the last norm, the hidden states joined
    early = 0.0  # what the last layer spares: unread columns keep what keys and values need
    if shape.spared:
        maps = min(2, shape.readers - 1) if bf16 else 1  # keys and values, or one map for both
        early = unread * (per_layer - 2 * shape.norms - size * (maps * width + 2 * keys))
    head = 3 * 4 * labelled * shape.vocabulary  # logits, their softmax and their gradient
    if not recompute:
        return int(rows * (columns * (shape.layers * per_layer + around) - early) + head)
    first_pass = unread + 1 if thoughts else columns
    stored = columns * around + first_pass * (shape.layers - 1) * (4 * width + 2 * size * keys)
    rest = (first_pass + (columns - first_pass) * shape.layers) * per_layer - early
    # When a layer is computed again, the later passes and the logits have been used up, but there
    # are gradients: within the layer, and of the keys and values that later passes used.
    again = per_layer + 4 * 2 * (width + shape.feed_forward)
    again += 4 * 2 * keys * (shape.layers - 1) if thoughts else 0
    return int(rows * stored + max(rows * rest + head, rows * first_pass * again))
