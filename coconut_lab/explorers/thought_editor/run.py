"""One problem thought through with an edit: what came out, what was fed back, the answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from coconut_lab.checkpoints.shipped import Checkpoint
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.explorers.stepper.reading import other_words
from coconut_lab.interpretability.interventions import with_logits
from coconut_lab.interpretability.staircase import Behind
from coconut_lab.interpretability.thinking import rows_with_thoughts, thoughts_in
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.tasks.problems import Problem

LEAST, MOST = 1e-4, 0.99  # what a word that is erased, and all that are inserted, are set to


@torch.no_grad()
def run(
    checkpoint: Checkpoint,
    problem: Problem,
    names: Sequence[int],
    options: Sequence[int],
    edit: Edit | None = None,
    rewired: Problem | None = None,
    since: int = 0,
) -> tuple[dict[str, Any], Tensor]:
    """Let a model think about a problem and answer it.

    The cost of an edit in bits is the KL divergence of what the head reads in each thought as it
    was fed from what it read in it as it came out, summed over thoughts. What an edit does where
    the head does not look is free.

    Args:
        checkpoint: the model.
        problem: in words that it knows, in symbols.
        names: the token of each node.
        options: the nodes that are options.
        edit: changes thoughts before they are fed back.
        rewired: the problem with other facts; the question has its keys and values from pass
            `since` on, as in `staircase`.
        since: pass 0 reads the question, pass k thought k, and the last `<eot> ###`.

    Returns:
        A run of the schema in `data.py`, and the thoughts (n, d) that came out.
    """
    model, tokenizer, curriculum = checkpoint.model, checkpoint.tokenizer, checkpoint.curriculum
    count, mark = thoughts_in(curriculum), tokenizer(ANSWER_MARK, add_special_tokens=False)

    def ids(version: Problem) -> Tensor:
        (head,) = rows_with_thoughts(model, [version], curriculum, count)
        return torch.tensor([[*head, model.tokens.eot, *mark.input_ids]], device=model.device)

    pairs: list[Tensor] = []

    def keep(k: int, h: Tensor, rows: Tensor) -> Tensor:
        changed = edit(k, h, rows) if edit else h
        pairs.append(torch.cat([h, changed]))
        return changed

    if rewired is not None and since == 0:  # it never sees the question as it was
        problem, rewired = rewired, None
    eot = ids(problem).shape[1] - 1 - len(mark.input_ids)
    passes = None
    if rewired is not None:
        passes = Behind(model, model.latent_states(ids(rewired)).cache, eot - count - 1, since)
    states = model.latent_states(ids(problem), edit=keep, also_cut=[eot], passes=passes)
    vectors = torch.stack(pairs, 1)  # as it came out and as it was fed: (2, n, d)
    logs = model.head(vectors).float().log_softmax(-1).cpu()
    made, fed = logs.exp()
    said = model.head(states.hidden[0, -1]).float().softmax(-1).cpu()
    found = {
        "thoughts": [
            {
                "made": _rounded(made[k, names]),
                "fed": _rounded(fed[k, names]),
                "others": [[t, round(p, 6)] for t, p in other_words(fed[k], {*names}, tokenizer)],
            }
            for k in range(count)
        ],
        "answers": _rounded(said[[names[node] for node in options]]),
        "changed": (1 + (vectors[0] != vectors[1]).any(1).nonzero().flatten()).tolist(),
        "bits": round(float((fed * (logs[1] - logs[0])).sum()) / 0.693147, 4),
    }
    return found, vectors[0].float().cpu()


def move_words(model: Coconut, h: Tensor, tokens: Sequence[int], shares: Sequence[float]) -> Tensor:
    """The vectors nearest to h (b, d) in which the head reads these shares of some words.

    The logits of all other words stay as they are.
    """
    wanted, logits = torch.tensor(shares, device=h.device).clamp(min=LEAST), model.head(h).float()
    wanted = wanted * min(1.0, MOST / float(wanted.sum()))
    left = logits.index_fill(-1, torch.tensor(tokens, device=h.device), -torch.inf)
    logits[:, list(tokens)] = left.logsumexp(-1, keepdim=True) + (wanted / (1 - wanted.sum())).log()
    return with_logits(model, h, logits.to(h))


def weigh_words(model: Coconut, h: Tensor, tokens: Sequence[int], weights: Tensor) -> Tensor:
    """A weighted sum (b, w) of the embeddings of words, as long as h (b, d) was."""
    weight = model.language_model.get_input_embeddings().weight.detach()
    written = weights.to(h) @ weight[list(tokens)].to(h)
    return written * (h.norm(dim=1) / written.norm(dim=1).clamp(min=1e-9))[:, None]


def _rounded(row: Tensor) -> list[float]:
    return [round(share, 6) for share in row.tolist()]
