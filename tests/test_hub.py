"""Models by name or folder: five architectures, their new tokens, and what is refused."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from naive import naive_loss, naive_row
from shapes import CONFIGS, bpe_tokenizer
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTModel,
)

from coconut_lab import hub
from coconut_lab.coconut import Coconut, ModelError
from coconut_lab.curriculum import Curriculum, collate
from coconut_lab.generation import generate
from coconut_lab.hub import CURRICULA, Lora, check_positions, from_hub
from coconut_lab.problems import Problem, write_json
from coconut_lab.prosqa import generate_prosqa
from coconut_lab.tokenizer import TokenizerError

SHAPES = CONFIGS | {
    # Caps its logits and its attention, which only eager attention can do.
    "gemma2": lambda vocab: Gemma2Config(
        vocab_size=vocab, hidden_size=16, intermediate_size=24, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=8,
        max_position_embeddings=64, sliding_window=6, final_logit_softcapping=30.0,
        initializer_range=0.3, bos_token_id=None, eos_token_id=1, pad_token_id=0,
    ),
}  # fmt: skip
ROOM = 512
PROBLEMS = [
    Problem(
        "Every yumpus is a rempus. Tom is a yumpus. Is Tom a rempus or lempus?",
        ("Tom is a yumpus.", "Every yumpus is a rempus."),
        "Tom is a rempus.",
    ),
    Problem("Tom is a lempus. Is Tom a lempus or rempus?", ("Tom is a lempus.",), "Tom."),
]


def tokenizer() -> Any:
    """A BPE tokenizer trained here, without thought tokens and without a padding token."""
    return bpe_tokenizer(thoughts=False)


def save(folder: Path, shape: str = "gpt2", **changes: Any) -> Path:
    """Write a random model of a shape with the BPE tokenizer, as the hub would hold it."""
    made = tokenizer()
    config = SHAPES[shape](len(made) + changes.pop("spare_rows", 0))
    settings = {"max_position_embeddings": ROOM, "eos_token_id": made.eos_token_id}
    for name, value in (settings | changes).items():
        setattr(config, name, value)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    made.save_pretrained(folder)
    return folder


# --- five architectures ------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_shape_thinks_as_the_naive_forward_does(tmp_path: Path, shape: str) -> None:
    made = from_hub(save(tmp_path / "m", shape), Curriculum(max_stage=2))
    model = made.model
    assert not model.training and made.tokenizer is model.tokenizer
    rows = [made.curriculum.encode(one, made.tokenizer, 2) for one in PROBLEMS]
    output = model(**collate(rows, made.tokenizer))
    assert output.thought_counts.tolist() == [2, 2]
    close = {"rtol": 2e-4, "atol": 2e-5}
    loss = naive_loss(model.language_model, rows, model.tokens.thought)
    torch.testing.assert_close(output.loss, loss, **close)
    for index, (ids, _) in enumerate(rows):
        thoughts = naive_row(model.language_model, ids, model.tokens.thought)[0]
        torch.testing.assert_close(output.thoughts[index], torch.stack(thoughts), **close)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_model_of_any_shape_writes_what_the_naive_one_writes(tmp_path: Path, shape: str) -> None:
    # Copies of a token that is never the likeliest here: equal rows give equal logits.
    made = from_hub(save(tmp_path / "m", shape), Curriculum(max_stage=2), copy_from="?")
    prompts = [made.curriculum.prompt(one, made.tokenizer, stage)
               for one, stage in zip(PROBLEMS, (2, 1), strict=True)]  # fmt: skip
    for prompt, got in zip(
        prompts, generate(made.model, made.tokenizer, prompts, max_new_tokens=5), strict=True
    ):
        ids = list(prompt)
        for _ in range(5):
            logits = naive_row(made.model.language_model, ids, made.model.tokens.thought)[1]
            token = int(logits[-1].argmax())
            if token == made.tokenizer.eos_token_id:
                break
            assert token != made.model.tokens.thought  # the naive one would think there
            ids.append(token)
        assert got.token_ids == ids[len(prompt) :]


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
    text = (Path(hub.__file__).parents[1] / "README.md").read_text(encoding="utf-8")
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


# --- what is trained ---------------------------------------------------------------------------


def changed_rows(before: torch.Tensor, after: torch.Tensor) -> list[int]:
    return (before != after).any(1).nonzero().flatten().tolist()


@pytest.mark.parametrize("tied", [True, False])
def test_a_frozen_model_learns_its_new_tokens_only(tmp_path: Path, tied: bool) -> None:
    folder = save(tmp_path / "m", "llama", tie_word_embeddings=tied)
    made = from_hub(folder, Curriculum(max_stage=1), freeze=True)
    model, tokens = made.model, made.model.tokens
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0)
    batch = collate(
        [made.curriculum.encode(one, made.tokenizer, 1) for one in PROBLEMS], made.tokenizer
    )
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
    learned = {name for name, value in model.state_dict().items()
               if not torch.equal(value, before[name])}  # fmt: skip
    embedding = "language_model.model.embed_tokens.weight"
    assert learned == {embedding} | ({"language_model.lm_head.weight"} if tied else set())
    rows = changed_rows(before[embedding], model.state_dict()[embedding])
    # With tied embeddings the rows also stand for outputs, so even an unused one learns.
    assert set(rows) == {tokens.bot, tokens.eot, tokens.thought} - (
        set() if tied else {tokens.thought}
    )
    weight = model.language_model.get_input_embeddings().weight
    assert made.card["parameters_that_get_gradient"] == weight.numel()
    assert from_hub(folder, "prosqa").card["parameters_that_get_gradient"] > weight.numel()


def test_lora_without_peft_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ImportError, match=r"pip install 'coconut-lab\[lora\]'"):
        from_hub(tmp_path / "no model is looked for", "prosqa", lora=Lora())


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


# --- what is refused ---------------------------------------------------------------------------


def test_curricula_are_those_of_the_paper(tmp_path: Path) -> None:
    found = {name: (c.max_stage, c.thoughts_per_step) for name, c in CURRICULA.items()}
    assert found == {"gsm8k-aug": (3, 2), "prontoqa": (6, 1), "prosqa": (6, 1)}
    with pytest.raises(ModelError, match="task='gsm8k'; there are gsm8k-aug, prontoqa, prosqa"):
        from_hub(tmp_path, "gsm8k")


@pytest.mark.parametrize("name", ["openai-community/gpt2", "no such name", "/nowhere/x", "a/b/c"])
def test_names_that_cannot_be_reached(name: str) -> None:
    message = (
        "not in the cache and the hub cannot be reached. Three ways"
        if name == "openai-community/gpt2"
        else "there is no model .* on the hub, and no folder of that name"
    )
    with pytest.raises(ModelError, match=message):
        from_hub(name, "prosqa")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (RepositoryNotFoundError, "there is no model 'owner/name' on the hub"),
        (GatedRepoError, "asks you to accept its licence"),
        (LocalEntryNotFoundError, r"Three ways: \(1\) give the path of a folder"),
        (HFValidationError, "there is no model"),
        (ConnectionError, "the hub cannot be reached"),
        (RuntimeError, "'owner/name' cannot be loaded: what the library says"),
    ],
)
def test_reasons_of_the_hub_are_put_in_words(
    monkeypatch: pytest.MonkeyPatch, kind: type[Exception], message: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        # As the library does: its own error, with the hub's behind it.
        raise OSError("what the library says") from kind.__new__(kind)

    monkeypatch.setattr(hub.AutoConfig, "from_pretrained", fail)
    with pytest.raises(ModelError, match=message):
        from_hub("owner/name", "prosqa")


def test_encoders_are_refused(tmp_path: Path) -> None:
    bert = BertForMaskedLM(
        BertConfig(vocab_size=len(tokenizer()), hidden_size=8, num_hidden_layers=1,
                   num_attention_heads=1, intermediate_size=8)
    )  # fmt: skip
    t5 = T5ForConditionalGeneration(
        T5Config(vocab_size=60, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    vit = ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
                             intermediate_size=8, image_size=16, patch_size=8))  # fmt: skip
    for model, what in (
        (bert, r"\(bert\) is an encoder; thoughts need a decoder-only model, such as GPT-2"),
        (t5, r"\(t5\) is an encoder-decoder; thoughts need"),
        (vit, r"\(vit\) is no language model"),
    ):
        model.save_pretrained(tmp_path / "m")
        tokenizer().save_pretrained(tmp_path / "m")
        with pytest.raises(ModelError, match=what):
            from_hub(tmp_path / "m", "prosqa")


def test_a_model_that_looks_ahead_is_refused(tmp_path: Path) -> None:
    bert = BertForMaskedLM(
        BertConfig(vocab_size=len(tokenizer()), hidden_size=8, num_hidden_layers=1,
                   num_attention_heads=1, intermediate_size=8, initializer_range=0.5)
    )  # fmt: skip
    made = tokenizer()
    made.add_tokens(["<bot>"])
    bert.resize_token_embeddings(len(made))
    with pytest.raises(ModelError, match="'bert' looks ahead: its first position changes"):
        hub._check_causal("bert", bert, made)
    gpt2 = AutoModelForCausalLM.from_config(
        GPT2Config(vocab_size=len(made), n_embd=8, n_layer=1, n_head=1, initializer_range=0.5)
    )
    hub._check_causal("gpt2", gpt2, made)


def test_folders_that_are_no_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the folder .* cannot be loaded as a model"):
        from_hub(tmp_path, "prosqa")
    save(tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="the folder .*/m cannot be loaded as a model"):
        from_hub(tmp_path / "m", "prosqa")
    weights.unlink()
    torch.save({}, tmp_path / "m" / "pytorch_model.bin")  # would have to be unpickled
    with pytest.raises(ModelError, match="weights as safetensors"):
        from_hub(tmp_path / "m", "prosqa")


def test_a_tokenizer_with_nothing_to_pad_or_to_end_with(tmp_path: Path) -> None:
    save(tmp_path / "m")
    bare = tokenizer()
    bare.eos_token = None
    bare.save_pretrained(tmp_path / "m")
    with pytest.raises(TokenizerError, match="no end-of-sequence token.*set tokenizer.eos_token"):
        from_hub(tmp_path / "m", "prosqa")
