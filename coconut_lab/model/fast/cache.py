"""A key-value cache that is written to in place, so that a pass does not copy what is there.

The library's cache joins old and new keys into a new tensor at every pass, and a backward pass
keeps each of these. A thought adds one column, so n thoughts would copy and keep the whole prompt
n times. Here all passes share one piece of memory; each sees its first columns.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

#: Columns that are made beyond what is needed when a layer has to grow.
EXTRA_COLUMNS = 16

#: Bytes of the block that `keep_freed_memory` frees; the C library learns from 32 MiB at most.
BLOCK = 31 * 2**20
#: Bytes by which a process may grow in a piece of work before `give_back_memory` looks for more.
MOST_KEPT = 256 * 2**20
LIBC: Any = ctypes.CDLL(None) if sys.platform == "linux" else None


def keep_freed_memory() -> None:
    """Let the process keep memory that tensors on a CPU no longer need, and use it again.

    GNU's C library gives free memory back to the system when it is more than twice the largest
    block freed so far, and a page that is taken anew costs more than the work of a tiny model on
    it. One large block, freed without being used, lifts that bound to 62 MiB (`mallopt(3)`,
    M_MMAP_THRESHOLD); bounds that a user has set stay as they are. Elsewhere it does nothing.
    """
    torch.empty(BLOCK, dtype=torch.uint8, device="cpu")


@contextmanager
def give_back_memory() -> Iterator[None]:
    """Give back to the system what a large piece of work leaves free, where it is a lot."""
    before = _resident()
    try:
        yield
    finally:
        if _resident() > before + MOST_KEPT:
            LIBC.malloc_trim(0)


def _resident() -> int:
    """How many bytes of memory the process has; 0 where the C library is not GNU's."""
    if not hasattr(LIBC, "malloc_trim"):
        return 0
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def take_memory(recycled: Tensor | None, like: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Take memory of a shape and the kind of `like`: what is recycled, if it is large enough."""
    size = math.prod(shape)
    if recycled is None or (recycled.dtype, recycled.device) != (like.dtype, like.device):
        return like.new_empty(shape)
    if size > recycled.numel():
        return like.new_empty(shape)
    return recycled.flatten()[:size].view(shape)


class _Append(torch.autograd.Function):
    """Columns `held` (B, H, n, d) and then `new` (B, H, m, d), both written in one memory.

    The memory is written to behind autograd's back, which is right only because no column is ever
    written twice: what an earlier pass has saved for its backward pass stays as it was.
    """

    @staticmethod
    def forward(ctx: Any, held: Tensor, new: Tensor, memory: _Memory) -> Tensor:
        ctx.columns = [held.shape[-2], new.shape[-2]]
        return memory.write(held, new)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, Tensor, None]:
        held, new = gradients[0].split(ctx.columns, dim=-2)
        return held, new, None


class _Memory:
    """Memory for columns of keys or values, and how many of them have been written."""

    def __init__(self, columns: int, recycled: Tensor | None = None) -> None:
        """Take no memory yet; `columns` are expected, `recycled` is memory to use again."""
        self.expected = columns
        self.recycled = recycled
        self.memory: Tensor | None = None  # (B, H, columns, d)
        self.written = 0

    def write(self, held: Tensor, new: Tensor) -> Tensor:
        """Put `new` after `held`, and give both as one view of the memory."""
        start = held.shape[-2]
        stop = start + new.shape[-2]
        memory = self.memory
        if memory is None or not self._holds(held, memory) or stop > memory.shape[-2]:
            columns = max(self.expected, stop if memory is None else stop + EXTRA_COLUMNS)
            memory = take_memory(self.recycled, held, (*held.shape[:-2], columns, held.shape[-1]))
            self.recycled = None
            memory[..., :start, :] = held.detach()
        else:
            memory = memory.data  # a new tensor on the same memory: saved views stay valid
        memory[..., start:stop, :] = new.detach()
        self.memory, self.written = memory, stop
        return memory.data[..., :stop, :]

    def _holds(self, held: Tensor, memory: Tensor) -> bool:
        """Whether `held` is all that was written: not cropped, not other rows, not elsewhere."""
        return (
            held.data_ptr() == memory.data_ptr()
            and held.shape[-2] == self.written
            and held.stride() == memory.stride()
            and held.shape[:-2] == memory.shape[:-2]
        )


class PreallocatedLayer(DynamicLayer):
    """The keys and values of one layer, with room for the columns to come; see below."""

    def __init__(self, columns: int = 0, recycled: PreallocatedLayer | None = None) -> None:
        super().__init__()
        old = (None, None) if recycled is None else [m.memory for m in recycled.memories]
        self.memories: tuple[_Memory, ...] = tuple(_Memory(columns, memory) for memory in old)

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any
    ) -> tuple[Tensor, Tensor]:
        """Put new keys and values (B, H, m, d) after those that are there; give all of them."""
        if torch.compiler.is_compiling():  # a compiler follows no writing behind autograd's back
            return super().update(key_states, value_states)
        if not self.is_initialized:
            self.dtype, self.device = key_states.dtype, key_states.device
            self.is_initialized = True
            self.keys, self.values = key_states, value_states
            if torch.is_grad_enabled():  # a single pass needs no copy
                return self.keys, self.values
            # Nothing else keeps these: copied now, their own memory is free for the next layer.
            self.keys, self.values = key_states[..., :0, :], value_states[..., :0, :]
        self.keys, self.values = (
            _Append.apply(held, new, memory)
            for held, new, memory in zip(
                (self.keys, self.values), (key_states, value_states), self.memories, strict=True
            )
        )
        return self.keys, self.values


def preallocated_cache(
    config: Any, columns: int = 0, recycled: DynamicCache | None = None
) -> DynamicCache:
    """Make an empty cache for a model, with room for some columns; more is taken when needed.

    Layers that do not keep every column (sliding windows, states of other kinds) are the library's
    own. The memory of a cache that is no longer needed may be recycled: new memory has to be
    fetched from the system page by page.
    """
    cache = DynamicCache(config=config)
    old = [None] * len(cache.layers) if recycled is None else recycled.layers
    cache.layers = [
        PreallocatedLayer(columns, before if isinstance(before, PreallocatedLayer) else None)
        if type(layer) is DynamicLayer
        else layer
        for layer, before in zip(cache.layers, old, strict=True)
    ]
    return cache
