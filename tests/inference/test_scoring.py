"""Scores and paired comparisons against enumeration of everything that could have happened."""

import itertools
import math
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shapes import language_model, tokenizer

from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference import scoring
from coconut_lab.inference.generation import Generation, generate
from coconut_lab.inference.halting import FixedThoughts, HaltError
from coconut_lab.inference.scoring import (
    Comparison,
    Score,
    answer_limit,
    compare_paired,
    is_right,
    is_right_number,
    score,
    write_answers,
)
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.problems import Problem

TOKENIZER = tokenizer()


def test_p_value_counts_every_possible_split():
    for differ in range(11):
        splits = list(itertools.product((0, 1), repeat=differ))
        for better in range(differ + 1):
            seen = abs(2 * better - differ)
            extreme = sum(abs(2 * sum(split) - differ) >= seen for split in splits)
            found = Comparison(5, better, differ - better, 3).p_value
            assert found == pytest.approx(extreme / len(splits), rel=1e-12)


def test_p_value_of_a_published_comparison():
    # "The Curriculum Is the Mechanism" reports 97.0% against 96.6% of 500 problems, p = .845.
    # Accuracies that far apart leave few numbers of differing problems, and one gives that p.
    p_values = [Comparison(500 - 2 * c - 2, c + 2, c, 0).p_value for c in range(15)]
    assert "0.845" in [f"{p:.3f}" for p in p_values]


def test_p_value_of_many_differing_problems_is_no_overflow():
    assert Comparison(0, 3_000, 3_000, 0).p_value == 1.0
    assert 0 <= Comparison(0, 4_000, 2_000, 0).p_value < 1e-100


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_a_comparison_counts_pairs(pairs):
    first, second = zip(*pairs, strict=True)
    found = compare_paired(first, second)
    assert found.total == len(pairs)
    assert (found.first.right, found.second.right) == (sum(first), sum(second))
    assert found.difference == pytest.approx(found.first.accuracy - found.second.accuracy)
    low, high = found.interval
    assert -1 <= low < high <= 1
    mirrored = compare_paired(second, first)
    assert mirrored.p_value == found.p_value
    assert mirrored.interval == pytest.approx((-high, -low))


@pytest.mark.parametrize(
    ("better", "worse"), [(0.05, 0.05), (0.2, 0.1), (0.4, 0.1), (0.3, 0.3), (0.02, 0.0)]
)
def test_the_interval_of_a_difference_covers_it(better, worse):
    # Over everything that 40 problems can give, weighted by how probable it is.
    n, covered = 40, 0.0
    for a in range(n + 1):
        for b in range(n + 1 - a):
            ways = math.comb(n, a) * math.comb(n - a, b)
            probability = ways * better**a * worse**b * (1 - better - worse) ** (n - a - b)
            low, high = Comparison(n - a - b, a, b, 0).interval
            covered += probability * (low <= better - worse <= high)
    assert covered >= 0.935


def test_a_comparison_needs_the_same_problems():
    with pytest.raises(ValueError, match="answered 2 problems but the second 1"):
        compare_paired([True, False], [True])
    with pytest.raises(ValueError, match="no problems"):
        compare_paired([], [])


def test_a_comparison_in_words():
    text = str(compare_paired([True] * 9 + [False], [True] * 4 + [False] * 6))
    assert text.startswith("90.0% against 40.0%: +50.0 points (")
    assert "5 right only for the first and 0 only for the second, p = 0.0625, n=10" in text


def test_a_score_says_which_were_right_and_what_it_cost():
    model = Coconut(language_model("llama", 1), TOKENIZER)
    questions = [Problem(f"w{i} w{i + 1}", (f"w{i + 2}",), "w0") for i in range(6)]
    curriculum = Curriculum(max_stage=2)
    prompts = [curriculum.prompt(problem, TOKENIZER, 2) for problem in questions]
    written = generate(model, TOKENIZER, prompts, 5)
    # The model's own words become the answer of every second problem, where there are any.
    mark = [*TOKENIZER("###").input_ids]
    written_now = generate(model, TOKENIZER, [[*p, *mark] for p in prompts], 5)
    problems = [
        Problem(q.question, q.steps, one.text if index % 2 else "w0 w0 w0 w0 w0 w0")
        for index, (q, one) in enumerate(zip(questions, written_now, strict=True))
    ]
    now = score(model, TOKENIZER, problems, curriculum, 2, answer_now=True, max_new_tokens=5)
    assert now.outcomes == tuple(
        bool(index % 2) and one.finished for index, one in enumerate(written_now)
    )
    assert now.right == sum(now.outcomes) and now.total == 6
    found = score(model, TOKENIZER, questions, curriculum, 2, max_new_tokens=5)
    assert found.tokens == sum(len(one.token_ids) for one in written) / 6
    assert found.thoughts == 2
    assert found.seconds > 0
    assert (
        found.passes == sum(1 + 2 + len(one.token_ids) - (not one.finished) for one in written) / 6
    )


@pytest.mark.parametrize(
    ("written", "answer", "right"),
    [
        ("### b", "b", True),
        ("b ###  b", "b", True),
        ("x ### y ### b", "b", True),
        ("b", "b", False),
        ("### b b", "b", False),
        ("###  a   b ", "a b", True),
        ("### a b", " a  b", True),
    ],
)
def test_an_answer_is_right_if_it_follows_the_last_mark_and_ends(written, answer, right):
    for finished in (True, False):
        made = Generation([], written, 0, finished)
        assert is_right(made, Problem("?", (), answer)) == (right and finished)


def test_answer_now_forbids_words_before_the_answer(monkeypatch):
    model, asked = Coconut(language_model("llama", 1), TOKENIZER), []

    def fake(model, tokenizer, prompts, limit, **_):
        asked.extend(prompt[-1] for prompt in prompts)
        return [Generation([], " w2", 1, True), Generation([], "w1 ### w2", 1, True)]

    monkeypatch.setattr(scoring, "generate", fake)
    problems = [Problem("w0 w1", ("w2",), "w2")] * 2
    assert score(model, TOKENIZER, problems, Curriculum(), 1, answer_now=True).right == 2
    assert score(model, TOKENIZER, problems, Curriculum(), 1).right == 1
    mark = TOKENIZER.convert_tokens_to_ids("###")
    assert asked == [mark, mark, model.tokens.eot, model.tokens.eot]
    with pytest.raises(ValueError, match="no problems"):
        score(model, TOKENIZER, [], Curriculum(), 0)


#: Steps of 7 tokens with their line's end as they are here, an answer of 3 and the end.
LONG = [Problem("w0 w1", ("w2 w3 w4 w5 w6 w7 w8",) * count, "w9 w9") for count in (2, 6)]


@pytest.mark.parametrize(
    ("method", "stage", "longest"),
    [
        ("cot", 0, 46),
        ("cot", 3, 46),
        ("coconut", 0, 46),
        ("coconut", 2, 32),
        ("coconut", 9, 4),
        ("icot", 5, 41),
        ("no_cot", 0, 4),
    ],
)
def test_the_limit_of_new_tokens_comes_from_the_longest_right_continuation(method, stage, longest):
    curriculum = Curriculum(method, max_stage=40 if method == "icot" else 6)
    encoded = [curriculum.encode(problem, TOKENIZER, stage).labels for problem in LONG]
    assert max(sum(label != -100 for label in labels) for labels in encoded) == longest
    assert answer_limit(LONG, TOKENIZER, curriculum, stage) == max(24, longest * 3 // 2)


@pytest.mark.parametrize(
    ("limit", "right", "cut_off", "printed"),
    [
        (None, 2, 0, "n=2)"),
        (46, 2, 0, "n=2)"),
        (24, 1, 1, "n=2), 1 cut off"),
        (2, 0, 2, "2 cut off"),
    ],
)
def test_right_answers_of_any_length_are_right_and_what_is_cut_off_is_counted(
    monkeypatch, limit, right, cut_off, printed
):
    """The model knows its problems by heart: it writes all their steps, as a CoT model does."""

    def by_heart(model, tokenizer, prompts, limit, **_):
        texts = [" ".join([*problem.steps, "###", problem.answer]) for problem in LONG]
        written = [tokenizer(text).input_ids for text in texts]
        return [
            Generation(ids[:limit], tokenizer.decode(ids[:limit]), 0, len(ids) < limit)
            for ids in written
        ]

    monkeypatch.setattr(scoring, "generate", by_heart)
    model = Coconut(language_model("llama", 1), TOKENIZER)
    found = score(model, TOKENIZER, LONG, Curriculum("cot"), 0, max_new_tokens=limit)
    assert (found.right, found.cut_off) == (right, cut_off) and str(found).endswith(printed)
    assert found.to_dict().get("cut_off", 0) == cut_off


def test_the_room_beyond_the_longest_answer_is_what_the_model_has():
    model = Coconut(
        language_model(
            "llama",
            1,
        ),
        TOKENIZER,
    )  # 64 positions
    problems = [Problem("w0 " * 10, ("w2 w3 w4 w5 w6 w7 w8",) * 6, "w9 w9")]
    (one,) = write_answers(model, TOKENIZER, problems, Curriculum("cot"), 0)
    prompt = Curriculum("cot").prompt(problems[0], TOKENIZER, 0)
    assert one.finished or len(one.token_ids) == 64 - len(prompt) < 46 * 3 // 2
    with pytest.raises(ModelError, match="lower max_new_tokens"):
        write_answers(model, TOKENIZER, problems, Curriculum("cot"), 0, max_new_tokens=69)


@given(st.integers(1, 400), st.data())
def test_wilson_interval_solves_its_equation(total, data):
    result = Score(data.draw(st.integers(0, total)), total)
    low, high = result.interval
    assert 0 <= low <= result.accuracy + 1e-12 and result.accuracy - 1e-12 <= high <= 1
    # Each end is where the observed share lies 1.96 standard errors of that end away.
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            distance = abs(result.accuracy - end) / math.sqrt(end * (1 - end) / total)
            assert distance == pytest.approx(1.959964, rel=1e-4)


def test_numbers_are_compared_as_numbers():
    problem = Problem("How much?", ("600 + 634.5",), "1,234.50")
    for text in ("600 + 634.5 ### 1234.5", "### $1,234.50.", "so 1,234.5 dollars"):
        assert is_right_number(Generation([], text, 0, True), problem)
        assert not is_right_number(Generation([], text, 0, False), problem)
    assert not is_right_number(Generation([], "### 1234", 0, True), problem)
    assert not is_right_number(Generation([], "### many", 0, True), problem)
    assert not is_right_number(Generation([], "### many", 0, True), Problem("?", (), "many"))


def test_score_takes_another_judge_and_a_halting_rule(monkeypatch):
    model = Coconut(language_model("llama", 1), TOKENIZER)
    problems = [Problem(f"w{i} w{i + 1}", ("w2",), "w0") for i in range(4)]
    curriculum = Curriculum(max_stage=2)
    seen = []

    def judge(generation, problem):
        seen.append((generation, problem))
        return problem.question == "w2 w3"

    clock = iter([10.0, 18.0])
    monkeypatch.setattr(scoring, "time", SimpleNamespace(perf_counter=lambda: next(clock)))
    found = score(
        model, TOKENIZER, problems, curriculum, 0, halting=FixedThoughts(3), judge=judge,
        max_new_tokens=4,
    )  # fmt: skip
    assert found.outcomes == (False, False, True, False) and found.thoughts == 3
    assert found.seconds == 2.0  # per problem
    assert [problem for _, problem in seen] == problems


@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_every_problem_keeps_its_own_number_of_thoughts_in_any_batch(batch_size):
    model = Coconut(language_model("llama", 1), TOKENIZER)
    problems = [Problem(f"w{i} w{i + 1}", ("w2",), "w0") for i in range(4)]
    written = write_answers(
        model, TOKENIZER, problems, Curriculum(max_stage=2), 0, batch_size=batch_size,
        max_new_tokens=2, halting=FixedThoughts([3, 0, 2, 1]),
    )  # fmt: skip
    assert [one.thoughts_used for one in written] == [3, 0, 2, 1]
    with pytest.raises(HaltError, match="2 numbers of thoughts were given for 4 prompts"):
        score(
            model, TOKENIZER, problems, Curriculum(max_stage=2), 0, halting=FixedThoughts([3, 0]),
            batch_size=batch_size,
        )  # fmt: skip


def test_a_score_made_of_counts_alone():
    found = Score(3, 4)
    assert found.outcomes == () and found.tokens is None
    assert str(found) == "75.0% (30.1% to 95.4%, n=4)"
