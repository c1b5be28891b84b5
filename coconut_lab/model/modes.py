"""Modes that a model is in for a while: evaluation, eager attention, loading without bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from transformers.utils import logging


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Run a model in evaluation mode, and leave every module of it in the mode that it was in."""
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True


@contextmanager
def eager_attention(language_model: Any, wanted: bool) -> Iterator[None]:
    """Switch to the attention that can return its weights while they are wanted."""
    usual = language_model.config._attn_implementation
    if not wanted or usual == "eager":
        yield
        return
    language_model.set_attn_implementation("eager")
    try:
        yield
    finally:
        language_model.set_attn_implementation(usual)


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
