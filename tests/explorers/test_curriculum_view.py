"""The curriculum view without a browser: its table against the encodings, and what is refused."""

import json

import pytest
from explorer_models import random_checkpoint, spelling_checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st
from traitlets import TraitError

from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.in_words import replaced
from coconut_lab.curriculum.stages_and_masks import IGNORED, METHODS, Curriculum, tokenize
from coconut_lab.curriculum.tokenizer import add_pause_token, word_tokenizer
from coconut_lab.explorers import CurriculumView
from coconut_lab.tasks.problems import Problem, ProblemError
from coconut_lab.tasks.prosqa import PRESETS, generate_prosqa

PRESET = PRESETS["tiny"]
SPELLING = spelling_checkpoint().tokenizer
add_pause_token(SPELLING)
PROBLEM = generate_prosqa(1, 5, hops=3)[0]
VIEWS = [CurriculumView(PROBLEM), CurriculumView(PROBLEM.in_english(), SPELLING)]
MARKS = {"T": "<thought>", "P": "<pause>"}


@settings(max_examples=200)
@given(st.sampled_from(VIEWS), st.sampled_from(sorted(METHODS)), st.integers(0, 6),
       st.integers(1, 3), st.booleans(), st.data())  # fmt: skip
def test_the_table_holds_every_encoding(view, method, last, c, pad, draw) -> None:
    """Rows rebuilt from the table, as the page does, against `encode` and `prompt`."""
    curriculum, data = Curriculum(method, last, c, pad), view.data
    stage, found = draw.draw(st.integers(0, last + 1)), data["methods"][method]
    key = f"{last} {c} {pad:d}" if found["stand_in"] else f"{last} 1 1"
    row = data["rows"][found["stages"][key][stage]]

    def latent(count: int) -> list[int]:
        names = [MARKS[found["stand_in"]]] * count if count else []
        names = ["<bot>", *names, "<eot>"] if found["markers"] else names
        return view.tokenizer.convert_tokens_to_ids(names)

    ids = {part: [token for token, _ in data[part]] for part in ("question", "steps", "answer")}
    masked, learned = ids["question"] + latent(row[0]), ids["steps"][row[1] :] + ids["answer"]
    wanted = curriculum.encode(view.problem, view.tokenizer, stage)
    assert wanted == (masked + learned, [IGNORED] * len(masked) + learned)
    prompt = curriculum.prompt(view.problem, view.tokenizer, stage)
    assert prompt == ids["question"] + latent(row[2])
    said = data["sentences"][row[3]].replace("#", str(stage))
    assert said.startswith(replaced(curriculum, stage, len(view.problem.steps)))


def test_masked_positions_do_get_gradient() -> None:
    """What the view says of masked positions, by back-propagation through a model."""
    checkpoint = random_checkpoint()
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    example = Curriculum(max_stage=3).encode(PROBLEM, tokenizer, 2)
    seen = []

    def keep(module, inputs, output) -> None:
        output.retain_grad()
        seen.append(output)

    with model.language_model.get_input_embeddings().register_forward_hook(keep):
        output = model(**collate([example], tokenizer))
    output.loss.backward()
    (embedded,) = seen
    got = set((embedded.grad[0].norm(dim=-1) > 0).nonzero().flatten().tolist())
    thoughts = {at for at, token in enumerate(example.input_ids) if token == model.tokens.thought}
    # A thought has no embedding: what it gets goes to the position that it was fed back from.
    # Nothing looks at the end of sequence.
    assert got == set(range(len(example.input_ids) - 1)) - thoughts


def test_the_stage_stays_within_reach_and_icot_counts_tokens() -> None:
    view = CurriculumView(PROBLEM.in_english(), SPELLING)
    tokens = sum(map(len, tokenize([view.problem], SPELLING)[0].steps))
    assert (view.max_stage, view.max_tokens, view.stage) == (3, tokens, 1)
    view.stage = 4
    view.max_stage = 2
    assert view.stage == 3
    view.method = "icot"
    view.stage = tokens + 1
    assert view.curriculum == Curriculum("icot", tokens)
    view.method = "no_thought"
    assert (view.max_stage, view.stage) == (2, 3)


def test_a_tokenizer_is_left_as_it_was() -> None:
    tokenizer = word_tokenizer([*PRESET.entities, *PRESET.concepts])
    before = len(tokenizer)
    CurriculumView(PROBLEM, tokenizer, methods=["pause"])
    assert len(tokenizer) == before


def test_any_problem_without_a_graph_or_of_any_length() -> None:
    """Arithmetic with a tokenizer that spells; blanks and line breaks show as signs."""
    problem = Problem("Two & two\n< five?", ("<b>2+2</b>=4",), "4")
    view = CurriculumView(problem, SPELLING, ["coconut", "no_thought"])
    assert repr(view) == "CurriculumView(2 methods)"
    texts = [text for _, text in view.data["question"]]
    assert {"&", "<", "⏎"} <= set(texts) and "␣" in "".join(texts)
    long = CurriculumView(Problem("x" * 400, ("z" * 300,) * 9, "y"), SPELLING)
    assert (long.max_stage, long.max_tokens) == (9, 64)
    assert len(json.dumps(long.data)) < 200_000
    long.method = "icot"
    assert len(long.still().axes[0].get_yticklabels()) == 12


@pytest.mark.parametrize(
    ("options", "error", "why"),
    [
        ({"methods": []}, ValueError, "choose from coconut"),
        ({"methods": ["cocnut"]}, ValueError, "unknown method 'cocnut'"),
        ({"stage": 9}, ValueError, "from 0 to 4"),
        ({"stage": -1}, ValueError, "from 0 to 4"),
        ({"problem": Problem("| Zoe cat", (), "cat")}, ProblemError, "'Zoe'"),
    ],
)
def test_what_cannot_be_shown_says_so(options, error, why) -> None:
    with pytest.raises(error, match=why):
        CurriculumView(**options)


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("stage", 5, "stage=5; give 0 to 4"),
        ("max_stage", 7, "give 0 to 6"),
        ("thoughts_per_step", 0, "give 1 to 3"),
        ("method", "x", "give one of coconut, cot"),
    ],
)
def test_a_trait_refuses_what_it_cannot_be(name, value, why) -> None:
    view = CurriculumView()
    before = getattr(view, name)
    with pytest.raises(TraitError, match=why):
        setattr(view, name, value)
    assert getattr(view, name) == before
