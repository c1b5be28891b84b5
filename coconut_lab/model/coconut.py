"""Coconut: a language model whose last hidden state is fed back as its next input embedding.

Language mode feeds token embeddings, `E_t = [e(x_1) … e(x_t)]`. Between `<bot>` and `<eot>`, in
latent mode, the input at each placeholder is the last hidden state of the position before it:
`E_t = [e(x_1) … e(x_i), h_i, h_{i+1} … h_{t-1}]` (Hao et al. 2024, section 3). Each thought needs
the one before it, so n thoughts take n + 1 passes; a cache spares recomputing earlier positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from coconut_lab.model.edits import Edit, apply_edit
from coconut_lab.model.outputs import CoconutOutput, LatentOutput, gather_thoughts
from coconut_lab.model.passes import Passes
from coconut_lab.model.support import check_batch, next_tokens
from coconut_lab.model.wrapper import Wrapper


class Coconut(Wrapper):
    """A decoder-only language model that can think in its hidden states.

    Args:
        language_model: any decoder-only `transformers` model with a language-model head.
        tokenizer: its tokenizer, with the thought tokens (`add_thought_tokens`).
        fast: whether to take the shortcuts of `model/fast/`, which change numbers by rounding only.

    Raises:
        TokenizerError: the tokenizer lacks a thought token.
        ModelError: the model is no decoder-only language model, its embedding has fewer rows than
            the tokenizer has tokens, or its logits are not a function of the last hidden state.
    """

    def latent_states(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        edit: Edit | None = None,
        detach_thoughts: bool = False,
        also_cut: Sequence[int] = (),
        read_from: int = 0,
        passes: Passes | None = None,
        **how: Any,
    ) -> LatentOutput:
        """Run the n + 1 passes over a batch: one up to the first thought, then one per thought.

        A pass begins at every column that holds a placeholder in any row. Rows whose placeholders
        share columns, as `collate` arranges them, need n + 1 passes; others a few more.

        Args:
            input_ids: (B, T) int64; `<thought>` marks where a hidden state is fed back.
            attention_mask: (B, T), 1 for real tokens; None if there is no padding.
            position_ids: (B, T) int64; None counts real tokens from 0.
            edit: changes thoughts before they are fed back; see `Edit`.
            detach_thoughts: cut the gradient through the thoughts (for teaching).
            also_cut: columns that begin a pass although no row here has a placeholder there:
                processes that share weights (FSDP) have to make the same passes.
            read_from: the first column whose hidden state will be used. Those before it, except
                where a thought comes from, may be missing from the result.
            passes: what runs the passes, if the caller wants to go on after them.
            how: `output_attentions`, `output_hidden_states`, `recompute`; see `Passes`.

        Returns:
            The hidden states, the thoughts and the cache.

        Raises:
            ModelError: wrong shapes, a placeholder with nothing before it, more positions than the
                model has, or an edit that returns no hidden states.
        """
        mask, positions, is_thought = check_batch(self, input_ids, attention_mask, position_ids)
        columns = sorted({*is_thought.any(0).nonzero().flatten().tolist(), *also_cut})
        bounds = [0, *columns, input_ids.shape[1]]
        run = (passes or Passes(self, **how)).start(
            mask, unread=max(0, min(read_from, bounds[1] - 1))
        )
        # One split, not slices: the gradient of each slice would be a zero-filled (B, T, d).
        pieces = self.embed(input_ids).split([stop - start for start, stop in pairwise(bounds)], 1)
        hidden: list[Tensor] = []  # of each pass, (B, t, d)
        thoughts: list[Tensor] = []  # of each column where a pass begins, (B, d)
        for (start, stop), inputs in zip(pairwise(bounds), pieces, strict=True):
            if start:  # feed the last hidden state back, in the rows that think in this column
                thought, here = hidden[-1][:, -1].to(inputs.dtype), is_thought[:, start]
                if detach_thoughts:
                    thought = thought.detach()
                if edit is not None:
                    thought = apply_edit(edit, thought, here, is_thought[:, : start + 1].sum(1))
                thoughts.append(thought)
                first = torch.where(here[:, None], thought, inputs[:, 0])  # (B, d)
                inputs = torch.cat([first[:, None], inputs[:, 1:]], dim=1)  # (B, t, d)
            hidden.append(run(inputs, positions[:, start:stop]))
        vectors, counts = gather_thoughts(thoughts, is_thought, columns, pieces[0])
        return LatentOutput(torch.cat(hidden, dim=1), vectors, counts, len(hidden), *run.kept())

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        labels: Tensor | None = None,
        **options: Any,
    ) -> CoconutOutput:
        """Think and predict: the loss of a batch, or its logits.

        Args:
            input_ids, attention_mask, position_ids, options: as for `latent_states`.
            labels: (B, T) int64, -100 where nothing is supervised; not shifted.

        Returns:
            Loss, logits and thoughts.

        Raises:
            ModelError: as `latent_states`; also labels of another shape, or none at all labelled.
        """
        if labels is None:
            states = self.latent_states(input_ids, attention_mask, position_ids, **options)
            return CoconutOutput.of(states, self.head(states.hidden))
        targets, labelled = next_tokens(self, input_ids, labels)  # (B, T): question, thoughts not
        states = self.latent_states(
            input_ids,
            attention_mask,
            position_ids,
            read_from=int(labelled.any(0).nonzero()[0]),
            **options,
        )
        # The head is costly, so it reads only the M positions whose next token is labelled.
        logits = self.head(states.hidden[labelled[:, states.first_column :]])  # (M, V)
        wide = logits if logits.dtype == torch.float64 else logits.float()
        loss = F.cross_entropy(wide, targets[labelled])
        return CoconutOutput.of(states, logits, loss, labelled)
