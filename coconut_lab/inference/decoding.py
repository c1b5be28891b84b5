"""Rows that think and write side by side: what `generate` does between two passes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from coconut_lab.curriculum.batching import pad_prompts
from coconut_lab.inference.halting import Halting, HaltingContext
from coconut_lab.inference.sampling import Sampling
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit, apply_edit
from coconut_lab.model.outputs import ModelError
from coconut_lab.model.passes import Passes


@dataclass
class Row:
    """One prompt on its way through a batch."""

    index: int
    prompt: list[int]
    forced: list[int] = field(default_factory=list)  # to be read before the row writes its own
    thinking: bool = False
    halted: str = "prompt"
    thoughts_used: int = 0
    passes: int = 0
    written: list[int] = field(default_factory=list)
    thoughts: list[Tensor] = field(default_factory=list)  # (n, d) in pieces
    look_ahead_passes: int = 0
    finished: bool = False


class Batch:
    """The rows that are not finished yet, with their share of the cache."""

    def __init__(
        self, model: Coconut, tokenizer: Any, rows: list[Row], passes: Passes, edit: Edit | None
    ) -> None:
        """Run the prompts, and keep their keys and values."""
        padded = pad_prompts([row.prompt for row in rows], tokenizer)
        batch: dict[str, Any] = {name: value.to(model.device) for name, value in padded.items()}
        self.model, self.tokenizer, self.rows, self.passes = model, tokenizer, rows, passes
        # An edit gets the numbers of the prompts in place of those of the batch's rows.
        self.edit = edit and (lambda k, h, at: edit(k, h, self._numbers(at)))
        last = padded["input_ids"].shape[1] - 1
        states = model.latent_states(**batch, edit=self.edit, read_from=last, passes=passes)
        self.position = batch["position_ids"][:, -1]  # (B,)
        self.hidden = states.hidden[:, -1]  # (B, d)
        counts = states.thought_counts.tolist()
        for row, thoughts, count in zip(rows, states.thoughts, counts, strict=True):
            row.thoughts_used, row.passes, row.thoughts = count, 1 + count, [thoughts[:count]]

    def _numbers(self, places: Tensor) -> Tensor:
        return torch.tensor([row.index for row in self.rows], device=places.device)[places]

    def keep_going(self, max_new_tokens: int) -> bool:
        """Let the rows that are done leave the batch, and say whether any is left."""
        places = [
            place
            for place, row in enumerate(self.rows)
            if not row.finished and len(row.written) < max_new_tokens
        ]
        if places and len(places) < len(self.rows):
            chosen = torch.tensor(places, device=self.position.device)
            self.passes.keep_rows(chosen)
            self.position, self.hidden = self.position[chosen], self.hidden[chosen]
            self.rows = [self.rows[place] for place in places]
        return bool(places)

    def look_ahead(self, places: list[int], token_ids: list[int]) -> Tensor:
        """Give the logits (R, V) that some rows would have after these tokens; nothing is kept."""
        chosen = torch.tensor(places, device=self.position.device)
        passes = self.passes.fork(chosen)
        ids = torch.tensor([token_ids] * len(places), device=chosen.device)  # (R, T')
        passes.extend(torch.ones_like(ids))
        steps = torch.arange(1, len(token_ids) + 1, device=chosen.device)
        for place in places:
            self.rows[place].passes += 1
            self.rows[place].look_ahead_passes += 1
        hidden = passes(self.model.embed(ids), self.position[chosen, None] + steps)
        return self.model.head(hidden[:, -1])

    def stop_thinking(self, halting: Halting, look_ahead: list[int]) -> None:
        """Ask the rule about the rows that still think."""
        places = [place for place, row in enumerate(self.rows) if row.thinking]
        if not places:
            return
        count = self.rows[places[0]].thoughts_used  # the same for all: they started together
        if count >= halting.max_thoughts:
            for place in places:
                row = self.rows[place]
                row.thinking, row.halted = False, f"limit of {halting.max_thoughts} thoughts"
            return
        hidden = self.hidden[places]
        context = HaltingContext(count, hidden, lambda: self.look_ahead(places, look_ahead))
        for place, stops in zip(places, halting.stop(context).tolist(), strict=True):
            self.rows[place].thinking = not stops

    def write(self, sampling: Sampling | None, draws: Tensor | None) -> None:
        """Let the rows that neither think nor have tokens left to read write one token each."""
        ready = [not row.thinking and not row.forced for row in self.rows]
        places = [place for place, writes in enumerate(ready) if writes]
        if not places:
            return
        logits = self.model.head(self.hidden[places])  # (R, V)
        writers = [self.rows[place] for place in places]
        if bool((broken := logits.isnan().any(-1)).any()):
            row = writers[int(broken.nonzero()[0])]
            raise ModelError(
                f"the logits of prompt {row.index} for new token {len(row.written)} are not "
                "numbers (NaN); the weights are broken, or half precision overflowed: try float32"
            )
        if sampling is None or draws is None:
            chosen = logits.argmax(-1)
        else:
            numbers = torch.stack([draws[row.index, len(row.written)] for row in writers])
            chosen = sampling.choose(logits, numbers)
        end = self.tokenizer.eos_token_id  # looked up once: the library takes its time
        for row, token in zip(writers, chosen.tolist(), strict=True):
            if token == end:
                row.finished = True
            else:
                row.written.append(token)

    def read_on(self) -> None:
        """Let every row read on: a thought, its own last token, or what is forced on it.

        Rows that read less than others are padded on the left, so that all end in the last column.
        """
        device = self.hidden.device
        thinks = torch.tensor([row.thinking for row in self.rows], device=device)  # (B,)
        used = torch.tensor([row.thoughts_used for row in self.rows], device=device)
        thought = self.hidden  # (B, d)
        if self.edit is not None:
            thought = apply_edit(self.edit, thought, thinks, used + 1)
        columns = []
        for place, row in enumerate(self.rows):
            row.passes += 1
            if row.thinking:
                row.thoughts_used += 1
                row.thoughts.append(thought[place : place + 1])
                columns.append([self.model.tokens.thought])
            elif row.forced:
                columns.append(row.forced)
                row.forced = []
            else:
                columns.append([row.written[-1]])
        padded = pad_prompts(columns, self.tokenizer)
        inputs = self.model.embed(padded["input_ids"].to(device))  # (B, T', d)
        inputs[:, -1] = torch.where(thinks[:, None], thought.to(inputs.dtype), inputs[:, -1])
        real = padded["attention_mask"].to(device)  # (B, T'), 1 where the input counts
        self.passes.extend(real)
        position = self.position[:, None] + real.cumsum(1)
        self.hidden = self.passes(inputs, position)[:, -1]
        self.position = position[:, -1]
