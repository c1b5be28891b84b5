"""The editor of thoughts, without a browser: what an edit does, what it costs, what is refused."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
import torch
from explorer_models import spelling_checkpoint
from traitlets import TraitError

from coconut_lab import load
from coconut_lab.explorers import ThoughtEditor
from coconut_lab.explorers.thought_editor.data import COLUMNS
from coconut_lab.interpretability.interventions import compare_edits, put
from coconut_lab.interpretability.staircase import staircase
from coconut_lab.interpretability.thinking import rows_with_thoughts, think
from coconut_lab.tasks.counterfactuals import twin
from coconut_lab.tasks.prosqa import generate_prosqa

PROBLEMS = [one for one in generate_prosqa(60, 4242) if one.graph.hops == 3][:12]
VECTOR = torch.linspace(-1, 1, 64)
OWN = "Amy is a cat. Every cat is a fox. Bo is a hen. Every hen is an owl. Is Amy a fox or owl?"
NO_TWIN = "| Tom yumpus | yumpus rempus | Eva numpus [Q] rempus numpus [R] Tom"


@pytest.fixture(scope="module")
def model():
    return load("tiny-coconut").model


@pytest.fixture
def editor():
    return ThoughtEditor(problems=PROBLEMS, directions={"mine": VECTOR})


@torch.no_grad()
def naive(model, problem, edit):
    """The answer to a problem, one whole pass after the other, and every thought that was fed."""
    curriculum, tokens = load("tiny-coconut").curriculum, model.tokenizer
    (head,) = rows_with_thoughts(model, [problem], curriculum, 0)
    x, fed = model.embed(torch.tensor([head])), []
    for k in (1, 2, 3):
        h = model.backbone(inputs_embeds=x).last_hidden_state[:, -1]
        fed.append(edit(k, h))
        x = torch.cat([x, fed[-1][:, None]], 1)
    tail = [model.tokens.eot, tokens.convert_tokens_to_ids("###")]
    x = torch.cat([x, model.embed(torch.tensor([tail]))], 1)
    said = model.head(model.backbone(inputs_embeds=x).last_hidden_state[0, -1]).softmax(-1)
    options = problem.question.split("[Q]")[1].split()[:2]
    return said[tokens.convert_tokens_to_ids(options)].tolist(), torch.cat(fed)


def test_donors_and_doses_are_those_of_a_naive_run(editor, model):
    curriculum, problem = load("tiny-coconut").curriculum, PROBLEMS[4]
    own = think(model, PROBLEMS, curriculum)
    given = {
        "own": own[4], "zero": 0 * own[4], "mean": own.mean(0), "another problem": own[5],
        "twin": think(model, [twin(problem)], curriculum)[0],
    }  # fmt: skip
    editor.index = 4
    for whose, doses in [
        (["own"] * 3, [0, 0, 0]), (["twin", "own", "own"], [0, 0, 0]),
        (["own", "zero", "mean"], [0, 0, 0]), (["another problem"] * 3, [0, -1.5, 0]),
        (["own"] * 3, [2, 0, 0.5]),
    ]:  # fmt: skip
        editor.whose, editor.doses = whose, doses

        def edit(k, h, whose=whose, doses=doses):
            fed = h if whose[k - 1] == "own" else given[whose[k - 1]][k - 1][None]
            return fed + doses[k - 1] * VECTOR

        answers, fed = naive(model, problem, edit)
        assert editor.data["edited"]["answers"] == pytest.approx(answers, abs=1e-4)
        names = model.tokenizer.convert_tokens_to_ids(editor.data["names"])
        shown = torch.tensor([one["fed"] for one in editor.data["edited"]["thoughts"]])
        torch.testing.assert_close(shown, model.head(fed).softmax(-1)[:, names], atol=1e-4, rtol=0)
        # Only what the reader changed counts, not what follows from it.
        changed = [k for k in (1, 2, 3) if whose[k - 1] != "own" or doses[k - 1]]
        assert editor.data["edited"]["changed"] == changed


def test_twins_win_as_often_as_in_the_table(editor, model):
    curriculum = load("tiny-coconut").curriculum
    twins = think(model, [twin(one) for one in PROBLEMS], curriculum)
    table = compare_edits(model, PROBLEMS, curriculum, {"twin 1": put(twins, 1)})
    editor = ThoughtEditor(problems=PROBLEMS, table=table)
    editor.whose = ["twin", "own", "own"]
    right = 0
    for editor.index in range(len(PROBLEMS)):
        pair, data = editor.data["edited"]["answers"], editor.data
        right += data["options"][pair.index(max(pair))] == data["target"]
        assert (data["row"]["name"], data["row"]["problems"]) == ("twin 1", 12)
    assert right / len(PROBLEMS) == pytest.approx(table.right["twin 1"])
    editor.doses = [0.0] * 3
    editor.words = [{editor.data["names"][1]: 0.5}, {}, {}]
    assert editor.data["row"] is None  # that is another edit


def test_a_moved_bar_gets_there_by_the_shortest_way(editor, model):
    names, before = editor.data["names"], editor.data["plain"]["thoughts"][0]["made"]
    editor.words = [{names[2]: 0.4, names[3]: 0.3}, {}, {}]
    after = editor.data["edited"]["thoughts"][0]["fed"]
    assert (after[2], after[3]) == pytest.approx((0.4, 0.3), abs=1e-4)
    scale = 0.3 / (1 - before[2] - before[3])  # all others keep their ratios
    others = [n for n in range(len(names)) if n not in (2, 3)]
    assert [after[n] for n in others] == pytest.approx(
        [scale * before[n] for n in others], abs=2e-4
    )
    h = torch.randn(1, 64)
    editor.words = [{names[2]: 0.0}, {}, {}]
    added = (editor._edit(1, h, torch.tensor([0])) - h)[0]
    weight = model.language_model.get_output_embeddings().weight.detach()
    assert torch.linalg.norm(added - weight.T @ torch.linalg.pinv(weight.T) @ added) < 1e-3


def test_a_written_thought_is_the_sum_of_its_words_and_bits_are_a_divergence(editor, model):
    names, (made, *_) = (
        editor.data["names"],
        think(model, PROBLEMS[:1], load("tiny-coconut").curriculum)[0],
    )
    editor.whose = ["words", "own", "own"]
    editor.words = [{name: float(n in (1, 4)) for n, name in enumerate(names)}, {}, {}]
    weight = model.language_model.get_input_embeddings().weight.detach()
    rows = weight[model.tokenizer.convert_tokens_to_ids([names[1], names[4]])].sum(0)
    written = rows * made.norm() / rows.norm()
    answers, _ = naive(model, PROBLEMS[0], lambda k, h: written[None] if k == 1 else h)
    assert editor.data["edited"]["answers"] == pytest.approx(answers, abs=1e-4)
    p, q = (model.head(one).softmax(-1).tolist() for one in (written, made))
    cost = sum(a * math.log2(a / b) for a, b in zip(p, q, strict=True) if a > 0)
    assert editor.data["edited"]["bits"] == pytest.approx(cost, abs=1e-2)


def test_rewired_facts_are_followed_as_in_the_staircase(editor, model):
    table = staircase(model, PROBLEMS[2:3], load("tiny-coconut").curriculum)
    editor.index = 2
    right = editor.data["options"].index(editor.data["target"])
    for hop, row in table.iterrows():
        editor.rewired = hop
        for editor.since in range(5):
            old = editor.data["edited"]["answers"][right]
            assert (old > 0.5) == (row[editor.since] == 1)
    (n, child), (m, other) = editor.data["rewirings"]["2"]
    assert (editor.data["facts"][n][1], editor.data["facts"][m][1]) == (other, child)


def test_own_problems_and_those_without_a_twin(editor):
    editor.text = (
        "Amy is a cat. Every cat is a fox. Bo is a hen. Every hen is an owl. Is Amy a fox or owl?"
    )
    assert "Amy → " in editor.data["note"] and editor.data["names"][0] == "Amy"
    editor.words = [{"fox": 0.9}, {}, {}]
    editor.text = "nothing of the kind"
    assert editor.message and editor.data["names"][0] == "Amy" and editor.words[0] == {"fox": 0.9}
    editor.whose = ["twin", "own", "own"]
    editor.text = NO_TWIN
    assert "no twin" in editor.data["note"] and editor.whose[0] == "own"
    with pytest.raises(TraitError, match="give one of own, another problem"):
        editor.whose = ["twin", "own", "own"]
    editor.index = 3
    assert (editor.text, editor.message) == ("", "") and ["twin", "the twin’s"] in editor.data[
        "donors"
    ]
    assert json.loads(json.dumps(editor.data)) == editor.data


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [("index", 12, "give 0 to 11"), ("whose", ["own"], "give 3 items"),
     ("whose", ["x"] * 3, "own, twin"), ("words", [{"x": 1}, {}, {}], "name of the problem"),
     ("words", [{"Tom": 2}, {}, {}], "0 to 1"),
     ("doses", [6.0, 0, 0], "give -5 to 5"), ("doses", [math.nan, 0, 0], "give -5 to 5"),
     ("direction", "x", "give mine"), ("rewired", 9, "one of 0"), ("since", 5, "give 0 to 4")],
)  # fmt: skip
def test_traits(editor, name, value, says):
    before = getattr(editor, name)
    with pytest.raises(TraitError, match=says):
        setattr(editor, name, value)
    assert getattr(editor, name) == before


def test_what_cannot_be_edited_is_refused():
    for name, says in [("tiny-cot", "has no thoughts"), ("tiny-pause-as-thought", "reads pauses")]:
        with pytest.raises(ValueError, match=says):
            ThoughtEditor(name)
    with pytest.raises(ValueError, match="tokens; words can be written"):
        ThoughtEditor(spelling_checkpoint())
    with pytest.raises(ValueError, match=r"shape \(3,\); give \(64,\) or \(3, 64\)"):
        ThoughtEditor(directions={"x": torch.ones(3)})
    with pytest.raises(ValueError, match=r"the table lacks \['distractor'"):
        ThoughtEditor(table=pd.DataFrame({"right": [1.0]}))
    with pytest.raises(ValueError, match="rows of one name"):
        ThoughtEditor(table=pd.DataFrame(dict.fromkeys(COLUMNS, 1.0), index=["a", "a"]))
    with pytest.raises(ValueError, match="is empty"):
        ThoughtEditor(problems=[])
    assert repr(ThoughtEditor(problems=PROBLEMS)) == "ThoughtEditor(tiny-coconut, 12 problems)"
