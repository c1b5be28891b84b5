"""What a run begins with: a model of small problems that gets the names of larger ones."""

from __future__ import annotations

import torch

import coconut_lab as cl
from coconut_lab.tasks.prosqa import PRESETS
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import first_model, with_names


def names(preset: str) -> list[str]:
    return [*PRESETS[preset].entities, *PRESETS[preset].concepts]


def test_a_model_that_gets_names_answers_as_before_in_the_words_it_knew() -> None:
    old = cl.load("tiny-coconut").model
    new = with_names(old, names("paper"), seed=0).eval()
    words = [word for word in old.tokenizer.get_vocab() if word in new.tokenizer.get_vocab()]
    assert len(words) == len(old.tokenizer)
    question = cl.generate_prosqa(1, 5)[0].question.split()
    logits = []
    for model in (old, new):
        ids = torch.tensor([model.tokenizer.convert_tokens_to_ids(question)])
        with torch.no_grad():
            found = model.language_model(input_ids=ids).logits[0]
        logits.append(found[:, model.tokenizer.convert_tokens_to_ids(words)])
    torch.testing.assert_close(*logits)


def test_new_names_are_like_the_known_ones_and_come_from_the_seed() -> None:
    old = cl.load("tiny-base").model
    new, same, other = (with_names(old, names("paper"), seed=seed) for seed in (0, 0, 1))
    tables = [m.language_model.get_input_embeddings().weight.detach() for m in (new, same, other)]
    assert torch.equal(tables[0], tables[1]) and not torch.equal(tables[0], tables[2])
    known = new.tokenizer.convert_tokens_to_ids(names("tiny"))
    added = [i for w, i in new.tokenizer.get_vocab().items() if w not in old.tokenizer.get_vocab()]
    assert len(added) == 55 - 12
    norms = tables[0].norm(dim=1)
    assert abs(norms[added].mean() / norms[known].mean() - 1) < 0.1


def test_a_model_that_knows_the_names_stays_the_same_object() -> None:
    model = cl.load("tiny-base").model
    assert with_names(model, names("tiny"), seed=0) is model


def test_a_recipe_of_larger_problems_starts_from_a_model_of_smaller_ones() -> None:
    model = first_model(ModelPart(start="tiny-base"), names("small"), 0, cl.Curriculum())
    ids = model.tokenizer.convert_tokens_to_ids(names("small"))
    rows = model.language_model.get_input_embeddings().num_embeddings
    assert len(set(ids)) == 32 and max(ids) < rows
