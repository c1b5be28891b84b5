"""Weights and optimizer states that several processes hold a part of each (FSDP).

A checkpoint is always whole, so that a run begun on several GPUs can go on with one, and the other
way round. Everything here is called by all processes together, in the same order.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from accelerate.state import PartialState
from torch import Tensor, distributed, nn
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor, distribute_tensor


def end_process(main: Callable[[], int]) -> NoReturn:
    """Run a main function, and end this process with the exit status that it returns.

    One of several processes ends at once after that, without the clean-up of the interpreter: the
    threads of a process group may outlive it (caches of DTensor hold on to FSDP's even after
    `destroy_process_group`), and one that is still at work then ends the process with SIGABRT.
    """
    try:
        status = main()
        if not distributed.is_initialized():
            sys.exit(status)
        if status == 0:  # in all processes: none of them may still wait for this one
            PartialState().wait_for_everyone()
            PartialState().destroy_process_group()
    except Exception:
        if not distributed.is_initialized():
            raise
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def is_sharded(model: nn.Module) -> bool:
    """Whether the weights of a model are spread over processes."""
    return isinstance(model, FSDPModule)


def whole(value: Any) -> Any:
    """Gather a tensor on the CPU from its parts; anything else stays as it is."""
    return value.full_tensor().cpu() if isinstance(value, DTensor) else value


def whole_weights(model: nn.Module) -> dict[str, Tensor] | None:
    """Gather the state of a model on the CPU; None if this process holds all of it anyway."""
    if not is_sharded(model):
        return None
    return {name: whole(value) for name, value in model.state_dict().items()}


def whole_optimizer(optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Tensor]]:
    """Gather an optimizer's state per parameter; what is not sharded stays where it is."""
    state = optimizer.state_dict()["state"]
    return {
        index: {name: whole(value) for name, value in values.items()}
        for index, values in state.items()
    }


def load_weights(model: nn.Module, weights: dict[str, Tensor], strict: bool = True) -> None:
    """Put whole weights into a model, sharded or not.

    Args:
        model: the model.
        weights: its state, as every process has read it.
        strict: refuse if a name is missing.
    """
    if not is_sharded(model):
        model.load_state_dict(weights, strict=strict)
        return
    own = model.state_dict()
    with torch.no_grad():
        for name, value in weights.items():
            own[name].copy_(_part(value, own[name]))


def load_optimizer(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Tensor]]) -> None:
    """Put a whole state per parameter into an optimizer, whose parameters may be sharded."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    parts = {
        index: {
            name: _part(value, weights[index]) if value.ndim else value
            for name, value in values.items()
        }
        for index, values in state.items()
    }
    optimizer.load_state_dict(optimizer.state_dict() | {"state": parts})


def _part(value: Tensor, like: Tensor) -> Tensor:
    if not isinstance(like, DTensor):
        return value
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements)


def shared_cuts(model: nn.Module, batch: dict[str, Tensor], thought: int) -> list[int]:
    """List the columns at which every process has to begin a pass, whatever its own rows hold.

    A layer is gathered from all processes at each pass, so one pass more on one of them would wait
    for ever.

    Args:
        model: the model.
        batch: the whole batch, before it is shared out.
        thought: the id of `<thought>`.

    Returns:
        The columns that hold a placeholder in any row; none for a model that is not sharded.
    """
    if not is_sharded(model):
        return []
    found = (batch["input_ids"] == thought) & batch["attention_mask"].bool()
    columns: list[int] = found.any(0).nonzero().flatten().tolist()
    return columns


@contextmanager
def whole_outside_layers(model: nn.Module) -> Iterator[None]:
    """Hold embeddings and head as a whole, for calls that do not go through `forward`.

    Layers gather themselves when they are called.
    """
    if not isinstance(model, FSDPModule):
        yield
        return
    model.unshard()
    try:
        yield
    finally:
        model.reshard()
