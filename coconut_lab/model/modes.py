"""Modes that a model is in for a while, in one thread or several; loading without bars."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn
from transformers.utils import logging

from coconut_lab.model.outputs import ModelError

_lock = threading.Lock()
#: The thread that trains a model, and the modules to train again when the last evaluation ends.
_trained: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_evaluated: WeakKeyDictionary[nn.Module, tuple[int, list[nn.Module]]] = WeakKeyDictionary()


@contextmanager
def training_alone(model: nn.Module) -> Iterator[None]:
    """Let only this thread use a model while it is being trained."""
    check_not_trained(model)
    _trained[model] = threading.get_ident()
    try:
        yield
    finally:
        _trained.pop(model, None)


def check_not_trained(model: nn.Module) -> None:
    """Refuse a model that another thread is training: neither could trust its results."""
    if _trained.get(model, threading.get_ident()) != threading.get_ident():
        raise ModelError(
            "this model is being trained in another thread, which its use here would disturb; "
            "wait for the end of the run or stop it, or load its last checkpoint"
        )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode, and leave every module of it in the mode that it was in.

    Several threads may do so at the same time; the last one to end brings the modes back.
    """
    check_not_trained(model)
    with _lock:
        count, training = _evaluated.get(model, (0, []))
        training += [module for module in model.modules() if module.training]
        for module in training:
            module.training = False
        _evaluated[model] = count + 1, training
    try:
        yield
    finally:
        with _lock:
            count, training = _evaluated.pop(model)
            if count > 1:
                _evaluated[model] = count - 1, training
            for module in training if count == 1 else ():
                module.training = True


def attentive(backbone: Any) -> Any:
    """A backbone that can return its attention weights: the same weights in other modules.

    The modules in use are left alone, for another thread may be running them.
    """
    shared = {id(tensor): tensor for tensor in (*backbone.parameters(), *backbone.buffers())}
    twin = copy.deepcopy(backbone, shared)
    twin.set_attn_implementation("eager")
    return twin


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Keep the library's bars about single files out of notebooks."""
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
