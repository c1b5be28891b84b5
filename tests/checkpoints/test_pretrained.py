"""Models by name or folder: five architectures, their new tokens, their positions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from hub_models import PROBLEMS, ROOM, SHAPES, save, tokenizer
from oracle import answer, latent_row, mean_loss
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

from coconut_lab.checkpoints import pretrained as hub
from coconut_lab.checkpoints.pretrained import check_positions, from_hub
from coconut_lab.curriculum.batching import collate
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.curriculum.tokenizer import TokenizerError
from coconut_lab.inference.generation import generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.outputs import ModelError
from coconut_lab.tasks.json_files import write_json
from coconut_lab.tasks.prosqa import generate_prosqa

# --- five architectures ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_shape_thinks_as_the_oracle_does(tmp_path: Path, shape: str) -> None:
    made = from_hub(save(tmp_path / "m", shape), Curriculum(max_stage=2))
    model = made.model
    assert not model.training and made.tokenizer is model.tokenizer
    rows = [made.curriculum.encode(one, made.tokenizer, 2) for one in PROBLEMS]
    output = model(**collate(rows, made.tokenizer))
    assert output.thought_counts.tolist() == [2, 2]
    close = {"rtol": 2e-4, "atol": 2e-5}
    loss = mean_loss(model.language_model, rows, model.tokens.thought)
    torch.testing.assert_close(output.loss, loss, **close)
    for index, (ids, _) in enumerate(rows):
        thoughts = latent_row(model.language_model, ids, model.tokens.thought)[0]
        torch.testing.assert_close(output.thoughts[index], thoughts, **close)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_shape_writes_what_the_oracle_writes(tmp_path: Path, shape: str) -> None:
    # Copies of a token that is never the likeliest here: equal rows give equal logits.
    made = from_hub(save(tmp_path / "m", shape), Curriculum(max_stage=2), copy_from="?")
    prompts = [made.curriculum.prompt(one, made.tokenizer, stage)
               for one, stage in zip(PROBLEMS, (2, 1), strict=True)]  # fmt: skip
    for prompt, got in zip(
        prompts, generate(made.model, made.tokenizer, prompts, max_new_tokens=5), strict=True
    ):
        thought, end = made.model.tokens.thought, made.tokenizer.eos_token_id
        want = answer(made.model.language_model, prompt, thought, end, 5)
        assert (got.token_ids, got.finished) == want


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_shape_is_saved_and_loaded(tmp_path: Path, shape: str) -> None:
    made = from_hub(save(tmp_path / "m", shape), "prosqa")
    made.model.save_pretrained(tmp_path / "saved")
    again = Coconut.from_pretrained(tmp_path / "saved")
    batch = collate([made.curriculum.encode(PROBLEMS[0], made.tokenizer, 3)], made.tokenizer)
    assert torch.equal(again(**batch).loss, made.model(**batch).loss)
    assert again.tokens == made.model.tokens
    assert again.tokenizer.pad_token_id == made.tokenizer.eos_token_id
    # From the saved folder nothing is added or copied again.
    weights = made.model.embed(torch.arange(len(made.tokenizer)))
    with torch.no_grad():
        again.language_model.get_input_embeddings().weight[again.tokens.bot] += 1
    again.save_pretrained(tmp_path / "saved")
    third = from_hub(tmp_path / "saved", "prosqa")
    assert third.card["tokens_added"] == []
    assert not torch.equal(third.model.embed(torch.tensor(third.model.tokens.bot)),
                           weights[third.model.tokens.bot])  # fmt: skip


def test_the_code_of_the_readme_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(hub.__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (code,) = [c for c in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "from_hub(" in c]
    write_json(generate_prosqa(9, 0, notation="english"), tmp_path / "made.json")
    for there, here in (
        ('"openai-community/gpt2"', repr(str(save(tmp_path / "m")))),
        ('"prosqa", split="train"', repr(str(tmp_path / "made.json"))),
    ):
        assert code.count(there) == 1
        code = code.replace(there, here)
    exec(compile(code, "README.md", "exec"), {})
    first, *written = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"9 problems; (\d+) of \1 steps hold; 0 answers do not fit", first)
    assert sum(line.startswith("6 ") for line in written) == 8


# --- new tokens --------------------------------------------------------------------------------


@pytest.mark.parametrize("spare_rows", [0, 2, 40])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("shape", ["gpt2", "llama", "gemma"])
def test_new_embeddings_are_copies_and_old_ones_stay(
    tmp_path: Path, shape: str, tied: bool, spare_rows: int
) -> None:
    folder = save(tmp_path / "m", shape, tie_word_embeddings=tied, spare_rows=spare_rows)
    before = AutoModelForCausalLM.from_pretrained(folder)
    made = from_hub(folder, "prosqa", copy_from="Tom is")
    model, tokens = made.model.language_model, made.model.tokens
    old = len(tokenizer())
    assert [tokens.bot, tokens.eot, tokens.thought] == [old, old + 1, old + 2]
    assert made.card["tokens_added"] == ["<bot>", "<eot>", "<thought>"]
    assert made.card["copied_from"] == "To"
    source = made.tokenizer.convert_tokens_to_ids("To")
    for get in ("get_input_embeddings", "get_output_embeddings"):
        was, now = getattr(before, get)().weight, getattr(model, get)().weight
        assert len(now) == max(len(was), old + 3)
        assert torch.equal(now[:old], was[:old])
        for token in (tokens.bot, tokens.eot, tokens.thought):
            assert torch.equal(now[token], was[source])
    same = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert same == tied
    assert not torch.equal(
        before.get_input_embeddings().weight[source], before.get_output_embeddings().weight[source]
    ) or tied  # fmt: skip


def test_a_bias_of_the_output_is_copied_too(tmp_path: Path) -> None:
    made = tokenizer()
    model = AutoModelForCausalLM.from_config(
        LlamaConfig(vocab_size=len(made), hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                    num_attention_heads=1, tie_word_embeddings=False)
    )  # fmt: skip
    head = model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.arange(float(len(made))))
    token = hub.add_to_model(model, made, "To")
    source = made.convert_tokens_to_ids(token)
    assert model.get_output_embeddings().bias[-3:].tolist() == [float(source)] * 3


def test_new_tokens_have_rows_where_a_vocabulary_has_gaps() -> None:
    last = 40  # the id of the end of sequence, though there are three tokens only
    words = Tokenizer(WordLevel({"To": 0, "###": 1, "<end>": last}, unk_token="To"))
    made = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="<end>")
    model = AutoModelForCausalLM.from_config(SHAPES["llama"](last + 1))
    hub.add_to_model(model, made, "To")
    weight = model.get_input_embeddings().weight
    new = made.convert_tokens_to_ids(["<bot>", "<eot>", "<thought>"])
    assert new == [last + 1, last + 2, last + 3] and len(made) == 6 and len(weight) == last + 4
    assert torch.equal(weight[new], weight[[0, 0, 0]])


def test_the_first_token_of_a_text_is_copied(tmp_path: Path) -> None:
    folder = save(tmp_path / "m")
    assert from_hub(folder, "prosqa").card["copied_from"] == "<"  # no "<<" in this vocabulary
    with pytest.raises(TokenizerError, match="copy_from='' is no token of this tokenizer"):
        from_hub(folder, "prosqa", copy_from="")


def test_a_padding_token_is_set_where_it_lacks(tmp_path: Path) -> None:
    made = from_hub(save(tmp_path / "m"), "prosqa")
    assert made.tokenizer.pad_token == made.tokenizer.eos_token == "<|endoftext|>"
    own = tokenizer()
    own.add_special_tokens({"pad_token": "Ġ"})
    own.save_pretrained(tmp_path / "m")
    assert from_hub(tmp_path / "m", "prosqa").tokenizer.pad_token == "Ġ"


# --- positions ---------------------------------------------------------------------------------


def test_positions_are_counted_before_anything_is_trained(tmp_path: Path) -> None:
    problems = generate_prosqa(20, 0, notation="english")
    folder = save(tmp_path / "m", max_position_embeddings=ROOM)
    made = from_hub(folder, "prosqa", problems=problems)
    need = check_positions(made.model, problems, made.curriculum, max_new_tokens=40)
    encoded = [
        len(made.curriculum.encode(one, made.tokenizer, stage).input_ids)
        for one in problems
        for stage in range(8)
    ]
    prompts = [len(made.curriculum.prompt(one, made.tokenizer, 6)) + 40 for one in problems]
    assert need == max(encoded + prompts)
    assert check_positions(made.model, problems, made.curriculum, 0) == max(encoded)
    assert check_positions(made.model, [], made.curriculum) == 0
    exact = save(tmp_path / "exact", max_position_embeddings=need)
    from_hub(exact, "prosqa", problems=problems, max_new_tokens=40)
    short = save(tmp_path / "short", max_position_embeddings=need - 1)
    with pytest.raises(
        ModelError, match=rf"problem \d+ needs {need} positions .* the model has {need - 1} "
    ):
        from_hub(short, "prosqa", problems=problems, max_new_tokens=40)
