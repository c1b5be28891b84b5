"""Generation and scores against slow, plain versions of themselves."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from naive import naive_row
from shapes import CONFIGS, language_model, ragged, tokenizer

from coconut_lab.coconut import Coconut, ModelError
from coconut_lab.curriculum import Curriculum
from coconut_lab.evaluation import Score, answer_of, is_right, score
from coconut_lab.generation import Generation, generate
from coconut_lab.problems import Problem
from coconut_lab.tokenizer import thought_tokens

TOKENIZER = tokenizer()
TOKENS = thought_tokens(TOKENIZER)


def naive_generate(model, prompt, limit):
    """Recompute everything for each token, as the published code does."""
    ids = list(prompt)
    while len(ids) < len(prompt) + limit:
        token = int(naive_row(model.language_model, ids, TOKENS.thought)[1][-1].argmax())
        if token == TOKENIZER.eos_token_id:
            return ids[len(prompt) :], True
        ids.append(token)
    return ids[len(prompt) :], False


def prompts(seed=0):
    rows = ragged(seed)
    return [ids[: len(ids) - sum(label != -100 for label in labels)] for ids, labels in rows]


@pytest.mark.parametrize("shape", CONFIGS)
@pytest.mark.parametrize("seed", range(3))
def test_a_ragged_batch_writes_what_each_prompt_writes_alone(shape, seed):
    model = Coconut(language_model(shape, seed), TOKENIZER)
    # Make the end of sequence likely enough that rows end at different times.
    head = model.language_model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(head.out_features, dtype=torch.float64))
    with torch.no_grad():
        head.bias[TOKENIZER.eos_token_id] = 3.0 if shape != "gpt2" else 2.0
        head.bias[TOKENS.thought] = -100.0  # the naive version would think there
    batch = generate(model, TOKENIZER, prompts(seed), max_new_tokens=7)
    for prompt, got in zip(prompts(seed), batch, strict=True):
        want, finished = naive_generate(model, prompt, 7)
        assert (got.token_ids, got.finished) == (want, finished)
        assert got.thoughts_used == prompt.count(TOKENS.thought)
        assert got.text == TOKENIZER.decode(want)
    assert len({len(row.token_ids) for row in batch}) > 1


def test_bad_prompts_are_named():
    model = Coconut(language_model("llama"), TOKENIZER)
    with pytest.raises(ModelError, match="list of prompts is empty"):
        generate(model, TOKENIZER, [])
    with pytest.raises(ModelError, match="prompt 1 is empty"):
        generate(model, TOKENIZER, [[3], []])
    with pytest.raises(ModelError, match="need 70 positions but the model has 64"):
        generate(model, TOKENIZER, [[3] * 10], max_new_tokens=60)


def test_scores_count_finished_right_answers():
    problem = Problem("| a b", ("b",), "b")
    assert is_right(Generation([], "### b", 0, True), problem)
    assert is_right(Generation([], "b ###  b", 0, True), problem)
    assert not is_right(Generation([], "### b", 0, False), problem)
    assert not is_right(Generation([], "b", 0, True), problem)
    assert not is_right(Generation([], "### b b", 0, True), problem)
    assert answer_of("x ### y ### z") == "z" and answer_of("x") is None


def test_score_runs_in_batches_of_any_size():
    model = Coconut(language_model("llama", 1), TOKENIZER)
    problems = [Problem(f"w{i} w{i + 1}", (f"w{i + 2}",), f"w{i}") for i in range(7)]
    scores = {
        score(model, TOKENIZER, problems, Curriculum(max_stage=2), 2, batch_size=size)
        for size in (1, 3, 7)
    }
    assert len(scores) == 1 and scores.pop().total == 7


def test_answer_now_forbids_words_before_the_answer(monkeypatch):
    model = Coconut(language_model("llama", 1), TOKENIZER)
    asked = []

    def fake(model, tokenizer, prompts, limit):
        asked.extend(prompts)
        return [Generation([], " w2", 1, True), Generation([], "w1 ### w2", 1, True)]

    monkeypatch.setattr("coconut_lab.evaluation.generate", fake)
    problems = [Problem("w0 w1", ("w2",), "w2")] * 2
    assert score(model, TOKENIZER, problems, Curriculum(), 1, answer_now=True).right == 2
    mark = TOKENIZER.convert_tokens_to_ids("###")
    assert [prompt[-1] for prompt in asked] == [mark, mark]
    asked.clear()
    assert score(model, TOKENIZER, problems, Curriculum(), 1).right == 1
    assert {prompt[-1] for prompt in asked} == {TOKENS.eot}


def test_nothing_to_score():
    model = Coconut(language_model("llama", 1), TOKENIZER)
    with pytest.raises(ValueError, match="no problems"):
        score(model, TOKENIZER, [], Curriculum(), 0)


@given(st.integers(1, 400), st.data())
def test_wilson_interval_solves_its_equation(total, data):
    right = data.draw(st.integers(0, total))
    result = Score(right, total)
    low, high = result.interval
    assert 0 <= low <= result.accuracy + 1e-12 and result.accuracy - 1e-12 <= high <= 1
    # Each end is where the observed share lies 1.96 standard errors of that end away.
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            distance = abs(result.accuracy - end) / math.sqrt(end * (1 - end) / total)
            assert distance == pytest.approx(1.959964, rel=1e-4)
