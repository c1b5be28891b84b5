"""Change a thought, and see who wins.

Every operation is an `edit` (see `model/edits.py`): `put` feeds other vectors, `donors` has a table
of them, `change` applies any function to a thought. `compare_edits` runs a table of edits over many
problems and says which option the answers name.

For example, the twin's first thought in place of the first, and nothing else:

    given = donors(model, problems, curriculum)
    compare_edits(model, problems, curriculum, {"twin": put(given["twin"], 1)})
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from coconut_lab.curriculum.stages_and_masks import Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import checks_kinds
from coconut_lab.inference.answers import answer_of
from coconut_lab.inference.generation import generate
from coconut_lab.inference.scoring import Score, compare_paired
from coconut_lab.interpretability.chances import one_token
from coconut_lab.interpretability.thinking import (
    editable,
    fed_at_pauses,
    rows_with_thoughts,
    think,
    thoughts_in,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.problems import Problem, ProblemError, graph_of

OUTCOMES = ("right", "distractor", "other")
PART = 512  # problems for which noise is made at once: of more, a table for each pair is too large


def put(vectors: Tensor, *at: int) -> Edit:
    """Feed these vectors in place of some thoughts.

    Args:
        vectors: (B, n, d), a row for each prompt.
        at: which thoughts, from 1; all where none is named. Those after them are computed anew.
    """
    return change(lambda k, h, rows: vectors[rows.cpu(), k - 1].to(h), *at)


def change(function: Edit, *at: int) -> Edit:
    """Apply `function(k, h, rows) -> h` to the thoughts `at` alone; to all where none is named."""
    return lambda k, h, rows: function(k, h, rows) if not at or k in at else h


def donors(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    seed: int = 0,
) -> dict[str, Tensor]:
    """What can be fed in place of thoughts: the weak tests, and those that decide.

    Returns:
        By name (B, n, d): `"own"` thoughts; `"zero"`; the `"mean"` over problems; `"noise"` with
        the thoughts' mean and covariance; thoughts of `"another problem"`, of another one with the
        `"same answer"` and as many hops, and of the `"twin"`. Of a model with pauses, what it reads
        there, which is the same for every problem; so only zeros differ (but see `twin_columns`).

    Raises:
        ProblemError: a problem without a twin, or with an answer that no other problem has.
    """
    twins = _twins(problems)
    own = _fed(model, problems, curriculum, count)  # (B, n, d)
    mean, generator = own.mean(0, keepdim=True), torch.Generator().manual_seed(seed)
    noise = torch.empty_like(own)
    for part in noise.split(PART):  # a product with the centred thoughts has their covariance
        mix = torch.randn(len(part), len(own), generator=generator) / max(1, len(own) - 1) ** 0.5
        part.copy_(mean + torch.einsum("bc,cnd->bnd", mix, own - mean))
    return {
        "own": own,
        "zero": torch.zeros_like(own),
        "mean": mean.expand_as(own),
        "noise": noise,
        "another problem": own.roll(1, 0),
        "same answer": own[_same_answer(problems)],
        "twin": _fed(model, twins, curriculum, count),
    }


def _fed(
    model: Coconut, problems: Sequence[Problem], curriculum: Curriculum, count: int | None
) -> Tensor:
    """What is fed between `<bot>` and `<eot>`, (B, n, d): thoughts, or the same pause each time."""
    thoughts = think(model, problems, curriculum, count)
    if curriculum.rule.stand_in != "pauses":
        return thoughts
    return fed_at_pauses(model).to(thoughts).expand_as(thoughts)


def _twins(problems: Sequence[Problem]) -> list[Problem]:
    found = []
    for number, problem in enumerate(problems):
        try:
            found.append(twin(problem))
        except ProblemError as error:
            raise ProblemError(f"problem {number}: {error}; leave it out") from error
    return found


def _same_answer(problems: Sequence[Problem]) -> list[int]:
    """For each problem the next one with its answer and its number of hops."""
    groups: dict[tuple[str, int], list[int]] = {}
    for number, problem in enumerate(problems):
        groups.setdefault((problem.answer.split()[-1], graph_of(problem).hops), []).append(number)
    found = [0] * len(problems)
    for (answer, hops), members in groups.items():
        if len(members) == 1:
            raise ProblemError(
                f"problem {members[0]}: no other one has its answer, {answer!r}, and {hops} hops; "
                "give more problems"
            )
        for number, donor in zip(members, members[1:] + members[:1], strict=True):
            found[number] = donor
    return found


def outcomes(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    count: int | None = None,
    *,
    edit: Edit | None = None,
    batch_size: int | None = None,
) -> list[str]:
    """Which option each answer names, after n thoughts and `<eot> ###`.

    Returns:
        One of `OUTCOMES` per problem; "other" is any other word, or no end.
    """
    count = thoughts_in(curriculum) if count is None else count
    curriculum, edit = editable(model, curriculum, edit)
    rows = rows_with_thoughts(model, problems, curriculum, count)
    mark = model.tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids
    prompts = [[*row, model.tokens.eot, *mark] for row in rows]
    longest = max(len(parts.answer) for parts in tokenize(problems, model.tokenizer))
    written = generate(
        model, model.tokenizer, prompts, longest + 2, edit=edit, batch_size=batch_size
    )
    found = []
    for problem, one in zip(problems, written, strict=True):
        names, graph = graph_of(problem).names, graph_of(problem)
        # An answer is a name, or a sentence that ends in one; so the distractor's is alike.
        right = " ".join(problem.answer.split())
        wrong = right.replace(names[graph.target], names[graph.distractor])
        said = answer_of(ANSWER_MARK + one.text) if one.finished else None
        found.append({right: "right", wrong: "distractor"}.get(said or "", "other"))
    return found


@checks_kinds(ValueError)
def compare_edits(
    model: Coconut,
    problems: Sequence[Problem],
    curriculum: Curriculum,
    edits: Mapping[str, Edit | None],
    count: int | None = None,
) -> pd.DataFrame:
    """Run a table of edits over the same problems, each against no edit.

    Args:
        model, problems, curriculum, count: as for `think`.
        edits: name → edit.

    Returns:
        One row per edit, the first is "none": right with its 95% interval (low, high), distractor,
        other (all shares of the problems), lost and won (problems that only the unedited model, or
        only the edited one, got right), p (exact McNemar), and holm (p corrected for the number of
        edits in the table, Holm 1979).
    """
    before = outcomes(model, problems, curriculum, count)
    was = [one == "right" for one in before]
    rows: dict[str, dict[str, Any]] = {}
    for name, edit in {"none": None, **edits}.items():
        after = outcomes(model, problems, curriculum, count, edit=edit) if edit else before
        now = [one == "right" for one in after]
        paired = compare_paired(was, now)
        low, high = Score(sum(now), len(now)).interval
        rows[name] = {kind: after.count(kind) / len(after) for kind in OUTCOMES}
        rows[name] |= {"low": low, "high": high, "lost": paired.only_first}
        rows[name] |= {"won": paired.only_second, "p": paired.p_value}
    found = pd.DataFrame.from_dict(rows, orient="index")
    found["holm"] = holm(found.p[1:]).reindex(found.index)
    found.attrs["problems"] = len(problems)
    return found[["right", "low", "high", "distractor", "other", "lost", "won", "p", "holm"]]


def holm(p_values: pd.Series) -> pd.Series:
    """Correct p-values for their number (Holm 1979): the smallest counts m-fold, and so on down."""
    ordered = p_values.sort_values()
    factors = np.arange(len(ordered), 0, -1)
    return (ordered * factors).cummax().clip(upper=1.0).reindex(p_values.index)


# --- what a thought is made of --------------------------------------------------------------------


@checks_kinds(ValueError)
def name_basis(model: Coconut, problems: Sequence[Problem], *, read: bool = False) -> Tensor:
    """An orthonormal basis (d, r) of the span of the embeddings of all names in these problems.

    With `read`, of the head's rows for them: the same where a model's embeddings are tied.
    """
    names = sorted({name for problem in problems for name in graph_of(problem).names})
    inner = model.language_model
    embeddings = inner.get_output_embeddings() if read else inner.get_input_embeddings()
    weight = embeddings.weight.detach().float().cpu()
    return torch.linalg.qr(weight[[one_token(model, name) for name in names]].T).Q


@checks_kinds(ValueError)
def random_basis(width: int, rank: int, seed: int = 0) -> Tensor:
    """An orthonormal basis (d, r) of a random subspace: the control of `name_basis`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(width, rank, generator=generator)).Q


def split(basis: Tensor, inside: Tensor | None = None, outside: Tensor | None = None) -> Edit:
    """Put a thought together from its part inside a subspace and the rest.

    For example, `split(basis, outside=given["zero"])` keeps only what lies in the subspace.

    Args:
        basis: (d, r), orthonormal.
        inside, outside: donors (B, n, d) of either part; None is the thought itself.
    """

    def edit(k: int, h: Tensor, rows: Tensor) -> Tensor:
        parts = [h if one is None else one[rows.cpu(), k - 1].to(h) for one in (inside, outside)]
        return parts[1] + (parts[0] - parts[1]) @ basis.to(h) @ basis.to(h).T

    return edit


def rename_thoughts(
    model: Coconut, thoughts: Tensor, old: Sequence[Problem], new: Sequence[Problem]
) -> Tensor:
    """Give thoughts other words: what they say of a node's old name, they say of its new one.

    In the span of the names' embeddings a thought is a sum of them. Each coefficient goes from a
    node's name in the old problem to its name in the new one; the rest of the thought stays.

    Args:
        model: the model; its names are single tokens.
        thoughts: (B, n, d), of the old problems.
        old, new: the problems, and the same `renamed`.
    """
    pairs = [(graph_of(a).names, graph_of(b).names) for a, b in zip(old, new, strict=True)]
    words = sorted({name for pair in pairs for names in pair for name in names})
    embeddings = model.language_model.get_input_embeddings().weight.detach().float().cpu()
    rows = embeddings[[one_token(model, name) for name in words]]  # (r, d)
    found = []
    for vectors, both in zip(thoughts, pairs, strict=True):
        # Words that name no node fill up the permutation.
        was, now = ([*names, *(w for w in words if w not in names)] for names in both)
        given = vectors @ torch.linalg.pinv(rows)  # (n, r)
        moved = given[:, [words.index(was[now.index(word)]) for word in words]]
        found.append(vectors + (moved - given) @ rows)
    return torch.stack(found)


def with_logits(model: Coconut, hidden: Tensor, wanted: Tensor) -> Tensor:
    """The vectors (b, d) nearest to `hidden` (b, d) that the head reads as `wanted` (b, V)."""
    weight = model.language_model.get_output_embeddings().weight.detach()
    return hidden + (wanted - hidden @ weight.T) @ torch.linalg.pinv(weight).T


@checks_kinds(ValueError)
def set_words(
    model: Coconut, words: Sequence[Collection[str]], level: Sequence[Collection[str]]
) -> Edit:
    """Set the logits of some words of a thought to the mean logit of others, by the shortest way.

    To erase a branch, set its words to the level of names off the frontier; to insert one, to the
    level of the frontier's.

    Args:
        model: the model; its names are single tokens.
        words: for each problem the names whose logits change.
        level: for each problem the names whose mean logit they get.
    """
    chosen, like = _multi_hot(model, words), _multi_hot(model, level)  # (B, V)

    def edit(k: int, h: Tensor, rows: Tensor) -> Tensor:
        logits, others = model.head(h), like[rows.cpu()].to(h)  # (b, V)
        mean = (logits * others).sum(1, keepdim=True) / others.sum(1, keepdim=True)
        return with_logits(model, h, torch.where(chosen[rows.cpu()].to(h) > 0, mean, logits))

    return edit


@checks_kinds(ValueError)
def write_words(model: Coconut, words: Sequence[Collection[str]]) -> Edit:
    """Write a thought by hand: the mean embedding of some names, as long as the thought was.

    Args:
        model: the model; its names are single tokens.
        words: for each problem the names, at least one.
    """
    chosen = _multi_hot(model, words)
    weight = model.language_model.get_input_embeddings().weight.detach()

    def edit(k: int, h: Tensor, rows: Tensor) -> Tensor:
        written = chosen[rows.cpu()].to(h) @ weight.to(h)
        return written * (h.norm(dim=1, keepdim=True) / written.norm(dim=1, keepdim=True))

    return edit


def _multi_hot(model: Coconut, words: Sequence[Collection[str]]) -> Tensor:
    found = torch.zeros(len(words), model.config.get_text_config().vocab_size)
    for number, (row, names) in enumerate(zip(found, words, strict=True)):
        if not names:
            raise ProblemError(f"problem {number} has no words to set; leave it out")
        row[[one_token(model, name) for name in names]] = 1
    return found
