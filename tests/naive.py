"""An independent latent forward: no cache, no batch, n + 1 full passes, row by row."""

from __future__ import annotations

import torch


def naive_row(language_model, token_ids, thought_id, labels=None):
    """Recompute a row from scratch for every thought; no padding, positions from 0.

    Returns the list of thoughts, the logits (T, V), and the summed loss with its count.
    """
    embed = language_model.get_input_embeddings()
    pieces = list(embed(torch.tensor(token_ids)).unbind(0))
    thoughts = []
    for column, token in enumerate(token_ids):
        if token != thought_id:
            continue
        hidden = _full_pass(language_model, torch.stack(pieces[:column]))[1]
        thoughts.append(hidden[-1])
        pieces[column] = hidden[-1]
    logits, _ = _full_pass(language_model, torch.stack(pieces))
    total, count = torch.zeros((), dtype=logits.dtype), 0
    for column in range(1, len(token_ids)):
        if labels is not None and labels[column] != -100:
            log_probabilities = logits[column - 1] - logits[column - 1].logsumexp(-1)
            total = total - log_probabilities[labels[column]]
            count += 1
    return thoughts, logits, total, count


def _full_pass(language_model, inputs):
    output = language_model(inputs_embeds=inputs[None], use_cache=False, output_hidden_states=True)
    return output.logits[0], output.hidden_states[-1][0]


def naive_loss(language_model, rows, thought_id):
    """Mean loss over all labelled positions of `rows` of (token ids, labels)."""
    parts = [naive_row(language_model, ids, thought_id, labels)[2:] for ids, labels in rows]
    return sum(total for total, _ in parts) / sum(count for _, count in parts)
