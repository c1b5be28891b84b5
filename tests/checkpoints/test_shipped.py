"""Shipped models: what the cards say, and what happens to altered or missing files."""

import json

import pytest
import torch
from published import PROSQA, needs_published
from shapes import language_model, tokenizer

from coconut_lab.checkpoints.shipped import FOLDER, CheckpointError, load, names, save
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.inference.scoring import score
from coconut_lab.interpretability.values import frontier_mass
from coconut_lab.model.coconut import Coconut
from coconut_lab.study.build_checkpoints import unseen_problems
from coconut_lab.study.leaderboard import leaderboard_row
from coconut_lab.study.tables import read_results
from coconut_lab.tasks.loading import load_problems


@pytest.fixture
def saved(tmp_path):
    model = Coconut(language_model("llama", dtype=torch.float32), tokenizer())
    card = {"name": "trial", "rebuild": "make models"}
    save(tmp_path / "trial", model, Curriculum(max_stage=2), card, {"log.jsonl": "{}\n"})
    return tmp_path / "trial"


def test_save_and_load(saved):
    found = load(saved)
    assert found.curriculum == Curriculum(max_stage=2)
    assert found.card["name"] == "trial"
    assert {"model.safetensors", "tokenizer.json", "log.jsonl"} <= set(found.card["sha256"])
    assert not found.model.training


def test_altered_missing_and_unknown_checkpoints(saved):
    weights = saved / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"not the file its card describes.*make models"):
        load(saved)
    weights.unlink()
    with pytest.raises(CheckpointError, match=r"model\.safetensors is missing"):
        load(saved)
    (saved / "card.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(saved)
    (saved / "card.json").unlink()
    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(saved)
    with pytest.raises(
        CheckpointError, match=r"no checkpoint 'tiny-magic'; shipped are .*tiny-base"
    ):
        load("tiny-magic")


def test_what_a_card_does_not_list_is_not_read(saved):
    want = load(saved)
    (saved / "special_tokens_map.json").write_text('{"eos_token": "w0"}')
    (saved / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    found = load(saved)
    assert found.tokenizer.eos_token == want.tokenizer.eos_token != "w0"
    assert not found.model.has_adapters


def test_a_name_is_a_name_and_a_path_has_a_separator(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    saved.rename("tiny-base")
    assert load("tiny-base").card["name"] == "tiny-base"  # the shipped one
    for path in ("./tiny-base", saved.with_name("tiny-base"), saved.__class__("tiny-base")):
        assert load(path).card["name"] == "trial"
    saved.with_name("tiny-base").rename("mine")
    with pytest.raises(CheckpointError, match=r"no checkpoint 'mine'; .* such as '\./mine'"):
        load("mine")


@pytest.mark.parametrize("name", names())
def test_shipped_models_fit_their_cards(name):
    found = load(name)
    card = found.card
    assert card["name"] == name and card["rebuild"].endswith(name)
    assert card["parameters"] == sum(p.numel() for p in found.model.parameters())
    assert not list((FOLDER / name).glob("*.bin"))
    for line in (FOLDER / name / "log.jsonl").read_text().splitlines():
        assert {"step", "loss"} <= json.loads(line).keys()


def test_all_shipped_weights_are_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 25e6


def test_tiny_coconut_does_what_its_card_says():
    found = load("tiny-coconut")
    problems = unseen_problems("tiny")
    for key, answer_now in (("accuracy", True), ("accuracy_with_words", False)):
        for entry in found.card[key]:
            result = score(
                found.model,
                found.tokenizer,
                problems,
                found.curriculum,
                entry["thoughts"],
                answer_now=answer_now,
            )
            # Another processor may round a few answers differently.
            assert abs(result.right - entry["right"]) <= 3
        accuracy = [entry["accuracy"] for entry in found.card[key]]
        assert accuracy[-1] >= 0.97 and accuracy[0] <= 0.60
    masses = frontier_mass(found.model, found.tokenizer, problems[:300], found.curriculum)
    assert masses[0].mass > 0.95 and masses[1].mass > 0.8
    assert masses[0].uniform < 0.3 and masses[1].uniform < 0.3


@needs_published
def test_paper_frontier_solves_what_others_published():
    found = load("paper-frontier")
    problems = [one.in_symbols() for one in load_problems(PROSQA)]
    graded = score(found.model, found.tokenizer, problems, found.curriculum, 6, answer_now=True)
    row = next(
        one for one in read_results("ladder")["results"] if one["recipe"] == found.card["name"]
    )
    parts = row["published"].values()
    assert sum(part["total"] for part in parts) == graded.total == 300
    # Another processor may round a few answers differently.
    assert abs(graded.right - sum(part["right"][-1] for part in parts)) <= 3
    assert graded.right >= 282
    last = found.card["accuracy"][-1]
    assert (last["thoughts"], last["right"], last["total"]) == (6, row["right"], row["total"])


def test_paper_frontier_obeys_its_thoughts():
    found = load("paper-frontier")
    problems = unseen_problems("paper", 60)
    row = leaderboard_row(found.model, found.curriculum, problems=problems, more=problems[:5])
    assert row["right"] >= 54 and row["twin"]["turned"] >= 0.9 * row["twin"]["right"]
    assert row["frontier"][1] > 0.85
