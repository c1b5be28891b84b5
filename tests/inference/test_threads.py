"""Several threads at the same time: results as alone, or one clear refusal."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from shapes import language_model, tokenizer
from small_runs import log
from test_generation import dropping_model, prompts

from coconut_lab.inference.generation import generate
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.fast import cache
from coconut_lab.model.outputs import ModelError
from coconut_lab.training.trainer import Trainer

TOKENIZER = tokenizer()


def at_once(*tasks, times=6):
    """What each task gives, over and over, while the others run."""
    start = threading.Barrier(len(tasks))

    def run(task):
        start.wait()
        return [task() for _ in range(times)]

    with ThreadPoolExecutor(len(tasks)) as pool:
        return [done.result() for done in [pool.submit(run, task) for task in tasks]]


def test_generation_in_several_threads_is_as_alone_and_modes_stay_as_they_were():
    model = dropping_model()
    want = generate(model, TOKENIZER, prompts(), 6)
    model.train()
    model.backbone.h[0].eval()
    modes = [module.training for module in model.modules()]
    found = at_once(*[lambda: generate(model, TOKENIZER, prompts(), 6)] * 4)
    assert found == [[want] * 6] * 4
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("shape", ["gpt2", "llama"])
def test_attention_in_one_thread_does_not_disturb_the_others(shape):
    model = Coconut(language_model(shape, dtype=torch.float32), TOKENIZER)
    # Without padding, and so without a mask, which eager attention would need.
    batch = {"input_ids": torch.tensor([[5, 6, 7, model.tokens.bot, model.tokens.thought, 8]])}

    @torch.no_grad()
    def attentions():
        return torch.stack(model(**batch, output_attentions=True).attentions)

    @torch.no_grad()
    def logits():
        return model(**batch).logits

    tasks = [attentions, logits, attentions, logits]
    want = [task() for task in tasks]
    for alone, together in zip(want, at_once(*tasks, times=20), strict=True):
        for one in together:
            torch.testing.assert_close(one, alone)
    model(**batch, output_attentions=True).attentions[0].sum().backward()
    assert model.language_model.get_input_embeddings().weight.grad is not None


def test_a_training_run_is_as_alone_beside_other_work_and_refuses_work_with_its_model(
    recipe, tmp_path
):
    other = dropping_model().train()
    alone = generate(other, TOKENIZER, prompts(), 6)

    def run(folder, beside):
        trainer = Trainer(recipe, folder, progress=False)
        for layer in trainer.model.backbone.layers:
            layer.self_attn.attention_dropout = 0.5
        with ThreadPoolExecutor(1) as pool:
            trainer.train(lambda _: pool.submit(beside, trainer.model).result())
        assert generate(trainer.model, TOKENIZER, [[5, 6]], 3)  # free again
        return log(folder)

    def work(model):
        assert generate(other, TOKENIZER, prompts(), 6) == alone
        with pytest.raises(ModelError, match="being trained in another thread"):
            generate(model, TOKENIZER, [[5, 6]], 3)
        with pytest.raises(ModelError, match="being trained in another thread"):
            model(torch.tensor([[5, 6]]))

    assert run(tmp_path / "beside", work) == run(tmp_path / "alone", lambda _: None)


@pytest.mark.skipif(not cache._resident(), reason="only GNU's C library keeps memory")
def test_memory_that_a_large_piece_of_work_leaves_free_goes_back():
    cache.keep_freed_memory()  # whoever ran before: the C library keeps blocks of 1 MB ...
    cache.LIBC.malloc_trim(0)  # ... and has none left in which the work would not be seen
    kept, before = [], cache._resident()

    @cache.give_back_memory()
    def work():
        blocks = [torch.ones(2**18) for _ in range(1000)]  # 1 MB each
        kept.append(torch.ones(2**18))  # after all of them, so that none is at the end
        assert cache._resident() > before + 700 * 2**20
        blocks.clear()
        assert cache._resident() > before + 700 * 2**20

    work()
    assert cache._resident() < before + 100 * 2**20
