"""Several processes: how they end, and models of which each of them holds a part (FSDP).

A checkpoint is always whole, so that a run begun on several GPUs can go on with one, and the other
way round. All processes gather and load together, in the same order.
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
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.fsdp import FSDPModule

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


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


def whole_weights(model: nn.Module) -> dict[str, Any]:
    """Gather the weights of a model on the main process's CPU."""
    return get_model_state_dict(model, options=WHOLE)


def whole_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Gather the optimizer's state of each weight, by its name, on the main process's CPU."""
    found: dict[str, Any] = get_optimizer_state_dict(model, optimizer, options=WHOLE)
    return found.get("state", {})  # other processes get nothing


def load_state(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    weights: dict[str, Any],
    state: dict[str, Any],
    strict: bool,
) -> None:
    """Take a share of what was gathered; not `strict`: of tied weights one name will do."""
    how = StateDictOptions(full_state_dict=True, strict=strict)
    set_model_state_dict(model, weights, options=how)
    found = get_optimizer_state_dict(model, optimizer)
    set_optimizer_state_dict(model, optimizer, found | {"state": state}, options=how)


def shared_cuts(model: nn.Module, batch: dict[str, Tensor], thought: int) -> list[int]:
    """List the columns at which every process begins a pass, whatever its own rows hold.

    A layer of a sharded model is gathered from all processes at each pass: with one pass more on
    one of them it would wait for ever.
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
