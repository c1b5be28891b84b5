"""Less memory for more time: the layers of the question are computed again in the backward pass.

A forward pass keeps what its backward pass will need, and a long question keeps most of it. Run
again layer by layer (Chen et al. 2016, arXiv 1604.06174), it keeps the input of each layer and its
keys and values. The library's own gradient checkpointing drops the key-value cache, without which
there is no latent forward; torch's, used here, knows nothing of caches: the second time, a layer
gets a new one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import Tensor
from torch.utils.checkpoint import checkpoint
from transformers import Cache

from coconut_lab.model.fast.cache import preallocated_cache
from coconut_lab.model.fast.last_layer import layers_of


@contextmanager
def recomputing(backbone: Any) -> Iterator[None]:
    """Keep little of the pass within: a first pass, whose cache is still empty.

    The last layer is left out: of a question it keeps little as it is (`last_layer`). Where the
    layers of a backbone are not found, all is kept as usual.
    """
    layers = list(dict.fromkeys(layers_of(backbone)[:-1]))  # some share a layer between places
    own = [vars(layer).get("forward") for layer in layers]  # of a layer, not of its class
    for layer in layers:
        layer.forward = partial(_run_twice, layer.forward, backbone.config)
    try:
        yield
    finally:
        for layer, forward in zip(layers, own, strict=True):
            del layer.forward  # that of its class comes back
            if forward is not None:
                layer.forward = forward


def _run_twice(forward: Any, config: Any, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Run a layer so that it runs again when its backward pass needs what it computed."""
    runs = 0

    def run(hidden: Tensor) -> Any:
        nonlocal runs
        runs += 1
        if runs == 1:
            return forward(hidden, *args, **kwargs)
        # What the first run put into the cache stays there, and is used. Nobody reads this one.
        fresh = preallocated_cache(config)
        again = [fresh if isinstance(value, Cache) else value for value in args]
        named = {key: fresh if isinstance(value, Cache) else value for key, value in kwargs.items()}
        return forward(hidden, *again, **named)

    return checkpoint(run, hidden, use_reentrant=False)
