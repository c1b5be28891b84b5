"""Batches: examples and prompts, padded so that thoughts share columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import IGNORED, Example
from coconut_lab.curriculum.tokenizer import THOUGHT, padding_id, token_id
from coconut_lab.errors import checks_kinds


@checks_kinds(ValueError)
def collate(examples: Sequence[Example], tokenizer: Any) -> dict[str, Tensor]:
    """Make a batch: padded on the left so that first thoughts share a column, then on the right.

    Positions count real tokens from 0; padded positions have position 0, label -100 and are not
    attended to. This is the arrangement of the published code.

    Args:
        examples: at least one encoded problem.
        tokenizer: the tokenizer they were encoded with.

    Returns:
        `input_ids`, `attention_mask`, `position_ids`, `labels`, each (B, T) int64.

    Raises:
        ValueError: no examples, or an example whose labels are not as long as its tokens.
    """
    if not examples:
        raise ValueError("there is nothing to collate: the list of examples is empty")
    if not hasattr(tokenizer, "convert_tokens_to_ids"):
        raise ValueError(f"tokenizer is of type {type(tokenizer).__name__}; load one")
    for index, example in enumerate(examples):
        if len(example.input_ids) != len(example.labels):
            raise ValueError(
                f"example {index} has {len(example.input_ids)} tokens "
                f"but {len(example.labels)} labels"
            )
    thought = token_id(tokenizer, THOUGHT)
    firsts = [
        ids.index(thought) if thought in (ids := example.input_ids) else None
        for example in examples
    ]
    aligned = max((first for first in firsts if first is not None), default=0)
    left = [0 if first is None else aligned - first for first in firsts]
    # In numpy, as one flat list: torch would share this out among threads that train at that time.
    start = np.array(left)[:, None]
    stop = start + np.array([len(example.input_ids) for example in examples])[:, None]
    columns = np.arange(stop.max())
    real = (columns >= start) & (columns < stop)  # (B, T)
    input_ids = np.full(real.shape, padding_id(tokenizer))
    labels = np.full(real.shape, IGNORED)
    input_ids[real] = [token for example in examples for token in example.input_ids]
    labels[real] = [label for example in examples for label in example.labels]
    batch = {
        "input_ids": input_ids,
        "attention_mask": real,
        "position_ids": np.where(real, columns - start, 0),
        "labels": labels,
    }
    return {name: torch.from_numpy(value.astype(np.int64)) for name, value in batch.items()}


def pad_prompts(prompts: Sequence[Sequence[int]], tokenizer: Any) -> dict[str, Tensor]:
    """Pad prompts on the left, so that all of them end in the last column.

    Args:
        prompts: token ids, one list per prompt; at least one, and none of them empty.
        tokenizer: a Hugging Face tokenizer.

    Returns:
        `input_ids`, `attention_mask` and `position_ids`, each (B, T) int64.
    """
    width = max(map(len, prompts))
    # In numpy: torch would look at every number of a list on its own.
    ids = np.full((len(prompts), width), padding_id(tokenizer))
    for row, prompt in zip(ids, prompts, strict=True):
        row[width - len(prompt) :] = prompt
    pads = width - np.array([len(prompt) for prompt in prompts])[:, None]
    position = np.arange(width) - pads
    return {
        "input_ids": torch.from_numpy(ids),
        "attention_mask": torch.from_numpy((position >= 0).astype(np.int64)),
        "position_ids": torch.from_numpy(position.clip(min=0)),
    }
