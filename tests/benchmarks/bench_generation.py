"""What one call for 500 problems saves beside one problem at a time without a cache.

Three slower ways, measured in turns with the one call, so that a busy machine slows all of them:
every thought and every token recomputes the whole prefix; the published algorithm, which has a
cache for the thoughts and none for the tokens; and this package's own call, one prompt at a time.
All of them must write the same. With a GPU, the same there, and a model of GPT-2's size in bf16 on
problems of the paper's size.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

import torch

from coconut_lab import generate, generate_prosqa, load
from coconut_lab.curriculum.stages_and_masks import Curriculum
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.fast.llama_on_cpu import FusedCache, FusedLlama, fused_llama
from coconut_lab.tasks.prosqa import PRESETS
from coconut_lab.training.recipe import ModelPart
from coconut_lab.training.start import new_model

PROBLEMS, SLOW, THOUGHTS, LIMIT, THREADS, ROUNDS = 500, 50, 3, 24, 2, 5


class Meter:
    """Counts the passes of a model and the most bytes that its cache held."""

    def __init__(self, model: Coconut) -> None:
        self.passes, self.bytes = 0, 0
        with torch.no_grad():
            fused = fused_llama(model.backbone) is not None
        # A hook on the backbone would keep the fused passes away.
        self.ways = (FusedLlama, "__call__") if fused else (model.backbone, "forward")

    def __enter__(self) -> Meter:
        run = getattr(*self.ways)

        def counted(*args: object, **kwargs: Any) -> object:
            output = run(*args, **kwargs)
            self.passes += 1
            cache = kwargs.get("cache") or kwargs["past_key_values"]
            parts = (
                [part for layer in cache.memories for part in layer]
                if isinstance(cache, FusedCache)
                else [part for layer in cache.layers for part in (layer.keys, layer.values)]
            )
            self.bytes = max(self.bytes, sum(part.nbytes for part in parts))
            return output

        self.patch = mock.patch.object(*self.ways, counted)
        self.patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.patch.stop()


@torch.no_grad()
def without_a_cache(model: Coconut, prompt: Sequence[int], limit: int, cached: bool) -> list[int]:
    """Think and write for one prompt; the thoughts with a cache or without, the tokens without."""
    embeds = model.embed(torch.tensor([list(prompt)], device=model.device))  # (1, T, d)
    places = [place for place, token in enumerate(prompt) if token == model.tokens.thought]
    if cached:
        ids = torch.tensor([list(prompt)], device=model.device)
        states = model.latent_states(ids)
        embeds[0, places] = states.thoughts[0]
        logits = model.head(states.hidden)
    else:
        for place in places:
            output = model.backbone(inputs_embeds=embeds[:, :place], use_cache=False)
            embeds[0, place] = output.last_hidden_state[0, -1]
        logits = model.language_model(inputs_embeds=embeds, use_cache=False).logits
    written: list[int] = []
    while len(written) < limit:
        token = int(logits[0, -1].argmax())
        if token == model.tokenizer.eos_token_id:
            break
        written.append(token)
        if len(written) == limit:
            break
        embeds = torch.cat([embeds, model.embed(torch.tensor([[token]], device=model.device))], 1)
        logits = model.language_model(inputs_embeds=embeds, use_cache=False).logits
    return written


def timed(model: Coconut, work: Callable[[], list[list[int]]]) -> tuple[float, list[list[int]]]:
    """Run something; give seconds and what it wrote."""
    waits = torch.cuda.synchronize if model.device.type == "cuda" else lambda: None
    waits()
    began = time.perf_counter()
    written = work()
    waits()
    return time.perf_counter() - began, written


def compare(
    name: str,
    model: Coconut,
    prompts: list[list[int]],
    limit: int,
    slow: int,
    rounds: int,
    wanted: str = "",
) -> None:
    """Print how long each way takes per problem, and the ratios."""
    tokenizer = model.tokenizer

    def call(some: list[list[int]], **options: int) -> list[list[int]]:
        return [one.token_ids for one in generate(model, tokenizer, some, limit, **options)]

    ways: dict[str, tuple[int, Callable[[], list[list[int]]]]] = {
        "one call": (len(prompts), lambda: call(prompts)),
        "one by one, nothing cached": (
            slow, lambda: [without_a_cache(model, one, limit, False) for one in prompts[:slow]],
        ),
        "one by one, as published": (
            slow, lambda: [without_a_cache(model, one, limit, True) for one in prompts[:slow]],
        ),
        "one by one, cached": (slow, lambda: [call([one])[0] for one in prompts[:slow]]),
    }  # fmt: skip
    times: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(rounds + 1):
        first: list[list[int]] = []
        for way, (count, work) in ways.items():
            seconds, written = timed(model, work)
            first = first or written
            # In bf16 a tie may fall either way; exact agreement is asked of float32.
            assert model.embed(torch.tensor([0], device=model.device)).dtype != torch.float32 or (
                written[:slow] == first[:slow]
            ), way
            if turn:  # the first round warms up
                times[way].append(seconds / count)
    medians = {way: statistics.median(values) for way, values in times.items()}
    for way, seconds in medians.items():
        ratio = f", {seconds / medians['one call']:.1f} times the one call" * (way != "one call")
        print(f"{name}, {way}: {seconds * 1e3:.3f} ms per problem{ratio}")
    if wanted:
        print(f"{name}: {wanted}")
    for rows in (64, len(prompts)):
        if model.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with Meter(model) as meter:
            written = call(prompts, batch_size=rows)
        held = f"cache of at most {meter.bytes / 2**20:.1f} MiB"
        if model.device.type == "cuda":
            held += f", {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB in all"
        print(f"{name}, {rows} rows at once: {meter.passes} passes, {held}")
        if rows == len(prompts):
            thoughts = prompts[0].count(model.tokens.thought)
            longest = max(map(len, written))
            theory = 1 + thoughts + longest - (longest == limit)
            print(f"{name}: passes of the whole batch in theory, 1 + n + tokens: {theory}")
            assert meter.passes == theory


def paper_model(device: str) -> tuple[Coconut, list[list[int]]]:
    """A model of GPT-2's size with random weights in bf16, and prompts of the paper's size."""
    preset = PRESETS["paper"]
    part = ModelPart(layers=12, heads=12, head_dim=64, width=768, feed_forward=3072, positions=256)
    model = new_model(part, [*preset.entities, *preset.concepts], seed=0).eval()
    model = model.to(device=device, dtype=torch.bfloat16)
    curriculum = Curriculum(max_stage=6)
    problems = generate_prosqa(PROBLEMS, 0, preset)
    return model, [curriculum.prompt(problem, model.tokenizer, 6) for problem in problems]


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=THREADS)
    threads = parser.parse_args().threads
    torch.set_num_threads(threads)
    checkpoint = load("tiny-coconut")
    model, problems = checkpoint.model, generate_prosqa(PROBLEMS, 12345, "tiny")
    prompts = [
        checkpoint.curriculum.prompt(problem, checkpoint.tokenizer, THOUGHTS)
        for problem in problems
    ]
    wanted = "at least 20 times wanted beside one by one without a cache"
    compare(f"tiny, CPU, {threads} threads", model, prompts, LIMIT, SLOW, ROUNDS, wanted)
    if torch.cuda.is_available():
        compare("tiny, GPU", model.to("cuda"), prompts, LIMIT, SLOW, ROUNDS, wanted)
        large, longer = paper_model("cuda")
        compare("paper size, GPU, bf16", large, longer, 12, 20, 3)


if __name__ == "__main__":
    main()
