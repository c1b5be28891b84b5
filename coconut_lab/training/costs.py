"""What a model costs: floating-point operations and memory of a batch, by formulas.

The formulas are held against torch's own count of operations, and against the memory that autograd
keeps, in tests/training/test_estimate.py.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from coconut_lab.model.coconut import Coconut
from coconut_lab.model.passes import skips_last_layer

#: The maps that make keys and values; GPT-2 has one for these and the queries.
KEY_MAPS = {"k_proj", "v_proj", "c_attn"}


@dataclass(frozen=True)
class Shape:
    """What the formulas need to know about a model; counted on the model itself."""

    layers: int
    width: int
    feed_forward: int
    vocabulary: int
    queries: int  # width of all query heads
    keys: int  # width of all key heads
    heads: int
    gated: bool  # whether the feed-forward part multiplies by a gate (Llama, Qwen, Gemma)
    parameters: int  # all weights, and those that get gradient
    trained: int
    linear: int  # the same of matrices in layers, which multiply every token
    linear_trained: int
    norms: float  # elements per token that the normalisations of one layer keep
    readers: int  # linear maps of one layer that read a normalised hidden state
    composed: bool  # whether the activation function is made of several operations (GPT-2's)
    dropout: bool
    eager: bool  # whether attention keeps its weights
    # Weights of the last layer that columns which nobody reads are spared (`last_layer.py`), all
    # but those for keys and values; 0 where that layer is not shortened.
    spared: int
    spared_trained: int


def shape_of(model: Coconut) -> Shape:
    """Count a model's weights and read the sizes of its layers."""
    config = model.config.get_text_config()
    layers, width, heads = config.num_hidden_layers, config.hidden_size, config.num_attention_heads
    size = getattr(config, "head_dim", None) or width // heads
    keys = size * (getattr(config, "num_key_value_heads", None) or heads)
    linear: list[Tensor] = []
    spared: list[Tensor] = []
    norms = 0
    gated = False
    last = rf"\.{layers - 1}\." if skips_last_layer(model.backbone) else "$^"
    for name, module in model.backbone.named_modules():
        weight = getattr(module, "weight", None)
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
            linear.append(module.weight)
            gated |= "gate" in name
            if re.search(last, name) and not KEY_MAPS & set(name.split(".")):
                spared.append(module.weight)
        elif "Norm" in type(module).__name__ and weight is not None and "." in name:
            per_head = heads * size if "q_" in name else keys
            # A LayerNorm keeps its input; the library's RMSNorm also the normalised one.
            kept = 1 if isinstance(module, nn.LayerNorm) else 2
            norms += kept * (width if weight.numel() == width else per_head)
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None)
    act = getattr(config, "hidden_act", None) or getattr(config, "activation_function", "")
    counts = [
        sum(weight.numel() for weight in weights if weight.requires_grad or not trained)
        for weights in (list(model.parameters()), linear, spared)
        for trained in (False, True)
    ]
    return Shape(
        layers=layers,
        width=width,
        feed_forward=inner or 4 * width,
        vocabulary=model.language_model.get_output_embeddings().weight.shape[0],
        queries=heads * size,
        keys=keys,
        heads=heads,
        gated=gated,
        parameters=counts[0],
        trained=counts[1],
        linear=counts[2],
        linear_trained=counts[3],
        norms=norms / layers,
        readers=max(0, len(linear) // layers - 2),
        composed=act in ("gelu_new", "gelu_fast"),
        dropout=any(getattr(config, key, 0) for key in ("resid_pdrop", "hidden_dropout")),
        eager=config._attn_implementation == "eager",
        spared=counts[4],
        spared_trained=counts[5],
    )


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
    """Estimate the bytes that the forward passes keep for the backward pass, with fused attention.

    In the way of Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), which counts what each
    operation keeps, per token and layer, with d wide hidden states, f wide feed-forward parts, q
    wide queries and k wide keys, here for the library's own modules under autocast, whose hidden
    states stay in float32 between the layers:

    - norms, float32: d per LayerNorm, 2d per RMSNorm, of which there are two;
    - inputs of the linear maps: 2d + q, but under autocast d for each map that reads a norm;
    - attention: q + 2k, and its output q; another 2k for the shared memory of keys and values
      (`cache.py`) if there are thoughts: the first pass has its own;
    - feed-forward: 2f, 5f for an activation function that is made of several operations, 4f with
      a gate;
    - masks: 1 byte for each of 2d if there is dropout, 4 bytes for each column attended to.

    In the last layer, an unread column keeps only what its keys and values need. Logits are at
    labelled positions only: themselves, their softmax and their gradient, in float32. Adapters are
    counted as if each read a norm; a mixture of experts as if all were used.
    """
    width, queries, keys = shape.width, shape.queries, shape.keys
    size = 2 if bf16 else 4
    inputs = shape.readers * width + queries if bf16 else 2 * width + queries
    attention = 2 * queries + 2 * keys + (2 * keys if thoughts else 0)
    feed_forward = shape.feed_forward * (4 if shape.gated else 5 if shape.composed else 2)
    per_layer = 4 * shape.norms + size * (inputs + attention + feed_forward) + 4 * columns
    if shape.dropout:
        per_layer += 2 * width
    if shape.eager:
        per_layer += shape.heads * columns * (4 + size)
    around = 4 * 4 * width  # embeddings, the last norm, the hidden states joined
    early = 0.0  # what the last layer spares
    if shape.spared:
        maps = min(2, shape.readers - 1) if bf16 else 1  # keys and values, or one map for both
        early = unread * (per_layer - 2 * shape.norms - size * (maps * width + 2 * keys))
    head = 3 * 4 * labelled * shape.vocabulary
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
