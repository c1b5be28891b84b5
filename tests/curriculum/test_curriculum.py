"""Encoding and batches against the rules of the published code, written down a second time."""

import copy
import itertools
import math
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapes import bpe_tokenizer
from shapes import tokenizer as small_tokenizer
from tokenizers.processors import TemplateProcessing

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import METHODS, Curriculum, Example, tokenize
from coconut_lab.curriculum.tokenizer import (
    TokenizerError,
    add_pause_token,
    add_thought_tokens,
    padding_id,
    thought_tokens,
    word_tokenizer,
)
from coconut_lab.tasks.loading import load_problems
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import generate_prosqa

SHARED = Path(__file__).parents[3] / "shared" / "data"
BPE = bpe_tokenizer()


def published(problem, tokenizer, stage, method, max_stage, c, pad_to_max, training):
    """The published rules, one after the other, as facts about Coconut's code state them."""
    ids = {name: tokenizer.convert_tokens_to_ids(name) for name in ("<bot>", "<eot>", "<thought>")}
    question = tokenizer.encode(problem.question + "\n", add_special_tokens=True)
    steps = [tokenizer.encode(s + "\n", add_special_tokens=False) for s in problem.steps]
    answer = tokenizer.encode("### " + problem.answer, add_special_tokens=False)
    answer = [*answer, tokenizer.eos_token_id]
    if method == "cot":
        stage = 0
    if not training:
        most = max_stage if pad_to_max else min(max_stage, len(steps))
        skip, thoughts = 0, min(most, stage)
    elif stage > max_stage:
        skip = 10_000
        thoughts = max_stage if pad_to_max else min(len(steps), max_stage)
    else:
        skip, thoughts = stage, stage
    if method == "no_cot":
        skip, thoughts = 100, 0
    marked = method not in ("cot", "no_cot")
    latent = [ids["<thought>"]] * (thoughts * c)
    prompt = question + ([ids["<bot>"]] if marked else []) + latent
    prompt = prompt + ([ids["<eot>"]] if marked else [])
    if not training:
        return prompt
    tokens = prompt + list(itertools.chain.from_iterable(steps[skip:])) + answer
    return tokens, [-100] * len(prompt) + tokens[len(prompt) :]


PROBLEMS = generate_prosqa(4, seed=5) + generate_prosqa(2, seed=6, preset="small")
ENGLISH = [problem.in_english() for problem in PROBLEMS]
SUMS = [
    Problem("How many?", ("<<4-2=2>>", "<<2/.5=4>>", "<<12/4=3>>", "<<100*3=300>>"), "300"),
    Problem("At once?", (), "7"),
]


def words():
    return word_tokenizer(sorted({name for problem in PROBLEMS for name in problem.graph.names}))


@pytest.mark.parametrize("method", ["coconut", "cot", "no_cot"])
@pytest.mark.parametrize("pad_to_max", [True, False])
@pytest.mark.parametrize("c", [1, 2])
@pytest.mark.parametrize("max_stage", [0, 2, 6])
def test_encoding_and_prompt_equal_the_published_ones(method, pad_to_max, c, max_stage):
    curriculum = Curriculum(method, max_stage, c, pad_to_max)
    for tokenizer, problems in ((words(), PROBLEMS), (BPE, ENGLISH + SUMS)):
        for problem, stage in itertools.product(problems, range(9)):
            settings_ = (tokenizer, stage, method, max_stage, c, pad_to_max)
            example = curriculum.encode(problem, tokenizer, stage)
            assert (example.input_ids, example.labels) == published(problem, *settings_, True)
            assert curriculum.prompt(problem, tokenizer, stage) == published(
                problem, *settings_, False
            )


@pytest.mark.skipif(not SHARED.exists(), reason="the published files are not beside the project")
def test_encoding_of_published_problems():
    problems = load_problems(SHARED / "prosqa_valid.json")
    curriculum = Curriculum("coconut", 6, 1, True)
    for problem, stage in itertools.product(problems[::10], (0, 3, 6, 7)):
        want = published(problem, BPE, stage, "coconut", 6, 1, True, True)
        assert tuple(curriculum.encode(problem, BPE, stage)) == want


def test_symbols_have_one_token_per_name_and_read_as_designed():
    problem = PROBLEMS[0]
    tokenizer = words()
    example = Curriculum("coconut", 3).encode(problem, tokenizer, 1)
    text = " ".join(tokenizer.convert_ids_to_tokens(example.input_ids))
    rest = " ".join(problem.steps[1:])
    assert text == f"{problem.question} <bot> <thought> <eot> {rest} ### {problem.answer} <eos>"
    assert [label for label in example.labels if label != -100] == example.input_ids[
        -len(problem.steps) - 2 :
    ]


@given(seed=st.integers(0, 10**6), count=st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_collate_keeps_rows_and_aligns_first_thoughts(seed, count):
    rng = random.Random(seed)
    tokenizer = small_tokenizer()
    thought = thought_tokens(tokenizer).thought
    rows = []
    for _ in range(count):
        ids = [rng.randrange(2, 26) for _ in range(rng.randrange(1, 9))]
        ids += [thought] * rng.randrange(4) + [rng.randrange(2, 26)] * rng.randrange(3)
        rows.append(Example(ids, [rng.choice([-100, token]) for token in ids]))
    batch = collate(rows, tokenizer)
    firsts = set()
    for index, row in enumerate(rows):
        real = batch["attention_mask"][index].bool()
        assert batch["input_ids"][index][real].tolist() == row.input_ids
        assert batch["labels"][index][real].tolist() == row.labels
        assert batch["position_ids"][index][real].tolist() == list(range(len(row.input_ids)))
        assert batch["position_ids"][index][~real].sum() == 0
        assert (batch["labels"][index][~real] == -100).all()
        assert (batch["input_ids"][index][~real] == tokenizer.pad_token_id).all()
        # Padding is outside: the real tokens are one block.
        assert real.int().diff().abs().sum() <= 2
        if thought in row.input_ids:
            firsts.add(batch["input_ids"][index].tolist().index(thought))
        else:
            assert real[0]
    assert len(firsts) <= 1


def test_mixing_draws_every_stage_as_often_as_it_says():
    curriculum = Curriculum(mix_probability=0.4)
    rng = random.Random(0)
    drawn = [curriculum.draw_stage(9, 3, rng) for _ in range(20_000)]
    assert abs(drawn.count(9) / 20_000 - 0.6) < 0.015
    for stage in range(4):
        assert abs(drawn.count(stage) / 20_000 - 0.1) < 0.01
    assert {Curriculum().draw_stage(5, 3, rng) for _ in range(100)} == {5}


def test_bad_settings_and_words_are_named():
    with pytest.raises(ValueError, match="unknown method 'magic'; choose from coconut, cot"):
        Curriculum("magic")
    for name, value in {"max_stage": -1, "thoughts_per_step": 0, "mix_probability": 1.5}.items():
        with pytest.raises(ValueError, match=name):
            Curriculum(**{name: value})
    with pytest.raises(ValueError, match="stage is -1"):
        Curriculum().encode(PROBLEMS[0], words(), -1)
    with pytest.raises(ProblemError, match="problem 0: the tokenizer does not know the word"):
        Curriculum().encode(PROBLEMS[0], word_tokenizer(["Alex"]), 0)
    with pytest.raises(ValueError, match="nothing to collate"):
        collate([], words())
    with pytest.raises(ValueError, match="example 0 has 2 tokens but 1 labels"):
        collate([Example([1, 2], [1])], words())


@pytest.mark.parametrize("part", ["question", "step", "answer"])
@pytest.mark.parametrize("token", ["<thought>", "<eot>", "<bot>", "<pause>", "<eos>"])
@pytest.mark.parametrize("tokenizer", [BPE, word_tokenizer(["a", "b"])], ids=["bpe", "words"])
def test_text_that_holds_a_special_token_is_refused(tokenizer, token, part):
    """It would add a thought, or end the row, without a word."""
    tokenizer = copy.deepcopy(tokenizer)
    add_pause_token(tokenizer)
    token = tokenizer.eos_token if token == "<eos>" else token
    texts = {"question": "a", "step": "a", "answer": "b", part: f"a {token} b"}
    good, bad = (
        Problem("a", ("a",), "b"),
        Problem(texts["question"], (texts["step"],), texts["answer"]),
    )
    for curriculum in (Curriculum(), Curriculum("cot"), Curriculum("pause")):
        for encode in (curriculum.encode, curriculum.prompt):
            with pytest.raises(
                ProblemError, match=f"problem 0: its text holds {re.escape(token)}, wh"
            ):
                encode(bad, tokenizer, 1)
    with pytest.raises(ProblemError, match="problem 1: its text holds"):
        tokenize([good, bad], tokenizer)


def test_what_a_tokenizer_adds_itself_is_no_text():
    tokenizer = bpe_tokenizer()
    tokenizer.add_special_tokens({"bos_token": "<s>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", tokenizer.bos_token_id)]
    )
    (row,) = tokenize(SUMS[:1], tokenizer)
    assert row.question[0] == tokenizer.bos_token_id and tokenizer.bos_token_id not in row.answer
    with pytest.raises(ProblemError, match="its text holds <s>"):
        tokenize([Problem("a <s>", (), "1")], tokenizer)


def test_tokenizers_without_what_is_needed():
    tokenizer = bpe_tokenizer(thoughts=False)
    with pytest.raises(TokenizerError, match="has no <bot>, <eot>, <thought>"):
        Curriculum().encode(SUMS[0], tokenizer, 1)
    size = len(tokenizer)
    assert add_thought_tokens(tokenizer) == 3
    assert tuple(vars(thought_tokens(tokenizer)).values()) == (size, size + 1, size + 2)
    assert add_thought_tokens(tokenizer) == 0 and len(tokenizer) == size + 3
    tokenizer.pad_token = None
    assert padding_id(tokenizer) == tokenizer.eos_token_id
    tokenizer.eos_token = None
    with pytest.raises(TokenizerError, match="end-of-sequence"):
        tokenize(SUMS, tokenizer)
    with pytest.raises(TokenizerError, match="neither a padding"):
        padding_id(tokenizer)
    bad = {"twice": ["a", "a"], "reserved": ["[Q]"], "is reserved": ["<bot>"], "one word": ["a b"]}
    for message, names in bad.items():
        with pytest.raises(TokenizerError, match=message):
            word_tokenizer(names)


def test_the_table_of_methods_says_what_each_does():
    for name, method in METHODS.items():
        assert method.name == name and method.in_words
        assert method.removes in ("steps", "tokens", "all", "nothing")
        assert method.stand_in in ("thoughts", "pauses", None)


def laid_out(method, stage, tokenizer, problem, extra=0, **settings_):
    """The words of an example, and which of them are learned."""
    curriculum = Curriculum(method, **settings_)
    example = curriculum.arrange(tokenize([problem], tokenizer)[0], tokenizer, stage, extra)
    words_ = tokenizer.convert_ids_to_tokens(example.input_ids)
    asked = len(problem.question.split())
    learned = [label != -100 for label in example.labels]
    assert learned == sorted(learned)
    return " ".join(words_[asked:]), " ".join(words_[learned.index(True) :])


def test_every_method_at_every_stage():
    tokenizer = word_tokenizer(["a", "b", "c", "d"])
    add_pause_token(tokenizer)
    problem = Problem("| a b", ("b", "c", "d"), "d")
    latent, end = "<bot> {} <eot>", "### d <eos>"
    t, p = "<thought>", "<pause>"

    def check(method, stage, before, learned, **settings_):
        got = laid_out(method, stage, tokenizer, problem, max_stage=2, **settings_)
        assert got == (f"{before} {learned}".strip(), learned), (method, stage)

    for stage, (count, steps) in enumerate([(0, "b c d "), (1, "c d "), (2, "d "), (2, "")]):
        many = " ".join([t] * count)
        check("coconut", stage, latent.format(many) if count else "<bot> <eot>", steps + end)
        many = " ".join([p] * count)
        check(
            "pause_as_thought", stage, latent.format(many) if count else "<bot> <eot>", steps + end
        )
        check("no_thought", stage, "", steps + end)
        check("cot", stage, "", "b c d " + end)
        check("no_cot", stage, "", end)
        check("pause", stage, f"{p} {p}", end)
        check("no_curriculum", stage, f"<bot> {t} {t} <eot>", end)
        check("icot", stage, "", steps + end)
    check("coconut", 2, f"<bot> {t} {t} {t} {t} <eot>", "d " + end, thoughts_per_step=2)
    check("pause", 0, f"{p} {p} {p} {p}", end, thoughts_per_step=2)
    assert laid_out("icot", 1, tokenizer, problem, extra=1, max_stage=2)[0] == "d " + end
    assert laid_out("icot", 0, tokenizer, problem, extra=1, max_stage=2)[0] == "b c d " + end
    prompt = Curriculum("pause", 2).prompt(problem, tokenizer, 0)
    assert tokenizer.convert_ids_to_tokens(prompt) == ["|", "a", "b", p, p]


def test_pauses_need_their_token():
    with pytest.raises(TokenizerError, match=r"has no <pause>; call add_pause_token"):
        Curriculum("pause").encode(PROBLEMS[0], words(), 0)
    tokenizer = words()
    assert add_pause_token(tokenizer) == 1 and add_pause_token(tokenizer) == 0


def test_extra_removal_follows_its_law():
    rng = random.Random(0)
    drawn = [Curriculum("icot").draw_extra(rng) for _ in range(200_000)]
    # P(o) ∝ exp(-4 o): o = 0 with probability 1 - exp(-4), then each next e^-4 times rarer.
    assert abs(drawn.count(0) / 200_000 - (1 - math.exp(-4))) < 0.001
    assert abs(drawn.count(1) / drawn.count(0) - math.exp(-4)) < 0.002
    assert {Curriculum().draw_extra(rng) for _ in range(50)} == {0}
