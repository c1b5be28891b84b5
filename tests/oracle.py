"""The latent forward of `minimal_coconut`, one row at a time: without a cache, everything anew."""

import torch
import torch.nn.functional as F

from minimal_coconut import think_without_cache


def logits_of(model, inputs, token_ids=()):
    """Logits (T, V) of input embeddings (T, d) that some tokens follow."""
    more = model.get_input_embeddings()(torch.tensor(token_ids, dtype=torch.long))
    return model(inputs_embeds=torch.cat([inputs, more])[None], use_cache=False).logits[0]


def latent_row(model, token_ids, thought_id):
    """The thoughts (n, d) and the logits (T, V) of a row."""
    inputs = think_without_cache(model, token_ids, thought_id)
    return inputs[torch.tensor(token_ids) == thought_id], logits_of(model, inputs)


def mean_loss(model, rows, thought_id):
    """Mean loss over all labelled positions of `rows` of (token ids, labels)."""
    logits = torch.cat([latent_row(model, ids, thought_id)[1][:-1] for ids, _ in rows])
    return F.cross_entropy(logits, torch.tensor([t for _, labels in rows for t in labels[1:]]))


def answer(model, prompt, thought_id, eos_id, limit):
    """Think, then write greedily, as the published code does: the tokens, and whether they end."""
    inputs, written = think_without_cache(model, prompt, thought_id), []
    while len(written) < limit and written[-1:] != [eos_id]:
        written.append(int(logits_of(model, inputs, written)[-1].argmax()))
    return [token for token in written if token != eos_id], eos_id in written


def halted(model, prompt, thought_id, max_thoughts, stops):
    """The thoughts (k, d) of a prompt up to `<bot>`: all allowed, or until stops(next, E)."""
    for count in range(1, max_thoughts + 2):
        inputs = think_without_cache(model, [*prompt, *[thought_id] * count], thought_id)
        if count > max_thoughts or stops(inputs[-1], inputs[:-1]):
            return inputs[len(prompt) : -1]
