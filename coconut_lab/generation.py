"""Think, then decode: greedy generation for a batch, one cache through both phases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from coconut_lab.coconut import Coconut, ModelError
from coconut_lab.tokenizer import padding_id


@dataclass(frozen=True)
class Generation:
    """What a model wrote after one prompt.

    Attributes:
        token_ids: the new tokens only, without the end of sequence.
        text: the same, decoded.
        thoughts_used: how many thoughts it had.
        finished: True if it ended by itself, False if it was cut at `max_new_tokens`.
    """

    token_ids: list[int]
    text: str
    thoughts_used: int
    finished: bool

    @property
    def passes(self) -> int:
        """How many forward passes it took, counted as if it were alone in its batch.

        One for the prompt up to the first thought, one per thought, and one per token to read it
        back; a last token that was cut at the limit is never read.
        """
        return 1 + self.thoughts_used + len(self.token_ids) - (not self.finished)


def pad_prompts(prompts: Sequence[Sequence[int]], tokenizer: Any) -> dict[str, Tensor]:
    """Pad prompts on the left, so that all of them end in the last column.

    Args:
        prompts: token ids, one list per prompt.
        tokenizer: a Hugging Face tokenizer.

    Returns:
        `input_ids`, `attention_mask` and `position_ids`, each (B, T) int64.

    Raises:
        ModelError: no prompts, or an empty one.
    """
    if not prompts:
        raise ModelError("there is nothing to generate from: the list of prompts is empty")
    for index, prompt in enumerate(prompts):
        if not prompt:
            raise ModelError(f"prompt {index} is empty; it needs at least one token")
    width = max(map(len, prompts))
    fill = padding_id(tokenizer)
    pads = [width - len(prompt) for prompt in prompts]
    rows = list(zip(pads, prompts, strict=True))
    return {
        "input_ids": torch.tensor([[fill] * pad + list(prompt) for pad, prompt in rows]),
        "attention_mask": torch.tensor([[0] * pad + [1] * len(prompt) for pad, prompt in rows]),
        "position_ids": torch.tensor(
            [[0] * pad + list(range(len(prompt))) for pad, prompt in rows]
        ),
    }


@torch.no_grad()
def generate(
    model: Coconut,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int = 64,
) -> list[Generation]:
    """Let a model think at the placeholders of each prompt, then decode greedily.

    Args:
        model: the model, in evaluation mode.
        tokenizer: its tokenizer.
        prompts: token ids with their placeholders, as `Curriculum.prompt` makes them.
        max_new_tokens: where to cut a row that does not end by itself.

    Returns:
        One `Generation` per prompt, in order.

    Raises:
        ModelError: nothing to generate from, or more positions than the model has (found before
            any work is done).
    """
    batch = {
        name: value.to(model.device) for name, value in pad_prompts(prompts, tokenizer).items()
    }
    limit = getattr(model.config, "max_position_embeddings", None)
    longest = max(map(len, prompts)) + max_new_tokens
    if limit is not None and longest > limit:
        raise ModelError(
            f"the longest prompt and {max_new_tokens} new tokens need {longest} positions but the "
            f"model has {limit}; shorten the prompt or lower max_new_tokens"
        )
    mask = batch["attention_mask"]
    states = model.latent_states(batch["input_ids"], mask, batch["position_ids"])
    cache = states.cache
    position = batch["position_ids"][:, -1]  # (B,)
    hidden = states.hidden[:, -1]  # (B, d)
    rows = list(range(len(prompts)))  # which prompt each row of the shrinking batch belongs to
    written: list[list[int]] = [[] for _ in prompts]
    finished = [False] * len(prompts)
    for step in range(max_new_tokens):
        chosen = model.head(hidden).argmax(-1)  # (B,)
        going = []
        for index, token in enumerate(chosen.tolist()):
            if token == tokenizer.eos_token_id:
                finished[rows[index]] = True
            else:
                written[rows[index]].append(token)
                going.append(index)
        if not going or step + 1 == max_new_tokens:
            break
        if len(going) < len(rows):  # finished rows leave the batch
            keep = torch.tensor(going, device=mask.device)
            cache.batch_select_indices(keep)
            mask, position, chosen = mask[keep], position[keep], chosen[keep]
            rows = [rows[index] for index in going]
        mask = torch.cat([mask, torch.ones_like(mask[:, :1])], dim=1)
        position = position + 1
        output = model.backbone(
            inputs_embeds=model.embed(chosen[:, None]),
            attention_mask=mask,
            position_ids=position[:, None],
            past_key_values=cache,
            use_cache=True,
        )
        hidden = output.last_hidden_state[:, -1]
    counts = states.thought_counts.tolist()
    return [
        Generation(tokens, tokenizer.decode(tokens), counts[index], finished[index])
        for index, tokens in enumerate(written)
    ]
