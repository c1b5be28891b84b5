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


def published_generate(language_model, prompt, thought_id, eos_id, limit):
    """The published algorithm, for one prompt: think, then recompute everything for each token.

    The latent passes give the embeddings of the prompt, with thoughts in the place of
    placeholders. The most probable token is appended, and the whole sequence of embeddings goes
    through the model again, without a cache, until the end of sequence or the limit.
    """
    thoughts, logits, _, _ = naive_row(language_model, prompt, thought_id)
    embed = language_model.get_input_embeddings()
    pieces = list(embed(torch.tensor(prompt)).unbind(0))
    places = [place for place, token in enumerate(prompt) if token == thought_id]
    for place, thought in zip(places, thoughts, strict=True):
        pieces[place] = thought
    written = []
    while len(written) < limit:
        token = int(logits[-1].argmax())
        if token == eos_id:
            return written, True
        written.append(token)
        pieces.append(embed(torch.tensor([token]))[0])
        logits, _ = _full_pass(language_model, torch.stack(pieces))
    return written, False


def naive_halting(language_model, head, tail, limit, eos_id, most, stops):
    """Think until `stops(k, hidden)` or `most`, read `tail`, write; one prompt, no cache.

    Returns the written tokens, whether it ended, and the thoughts.
    """
    embed = language_model.get_input_embeddings()
    pieces = list(embed(torch.tensor(head)).unbind(0))
    thoughts = []
    while True:
        hidden = _full_pass(language_model, torch.stack(pieces))[1][-1]
        if len(thoughts) == most or stops(len(thoughts), hidden, pieces):
            break
        thoughts.append(hidden)
        pieces.append(hidden)
    pieces += list(embed(torch.tensor(tail)).unbind(0))
    written = []
    while len(written) < limit:
        token = int(_full_pass(language_model, torch.stack(pieces))[0][-1].argmax())
        if token == eos_id:
            return written, True, thoughts
        written.append(token)
        pieces.append(embed(torch.tensor([token]))[0])
    return written, False, thoughts


def naive_forced_logits(language_model, pieces, token_ids):
    """The logits behind some embeddings and some more tokens."""
    more = list(language_model.get_input_embeddings()(torch.tensor(token_ids)).unbind(0))
    return _full_pass(language_model, torch.stack([*pieces, *more]))[0][-1]
