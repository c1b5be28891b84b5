"""What a latent training step costs at the shape of GPT-2 small, in time and memory.

Random weights, batch 4, a question of 350 tokens, 6 thoughts, 11 labelled tokens. The plain step
runs over the same tokens and computes logits everywhere, as a language model does. Both are also
measured with their layers computed again in the backward pass. Times are taken in turns within one
run; the peak memory of each is that of a process of its own.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import time

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from coconut_lab.curriculum.tokenizer import word_tokenizer
from coconut_lab.model.coconut import Coconut

ROWS, QUESTION, THOUGHTS, ANSWER, THREADS, ROUNDS = 4, 350, 6, 11, 2, 3
KINDS = ("plain", "latent", "plain, again", "latent, again")


def make() -> tuple[Coconut, dict[str, torch.Tensor]]:
    """Make the model and a batch: question, `<bot>`, thoughts, `<eot>`, labelled tokens."""
    tokenizer = word_tokenizer([f"w{index}" for index in range(100)])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = Coconut(GPT2LMHeadModel(GPT2Config()), tokenizer).train()
    tokens = model.tokens
    tail = [tokens.bot, *[tokens.thought] * THOUGHTS, tokens.eot]
    columns = QUESTION + len(tail) + ANSWER
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(6, 90, (ROWS, columns), generator=generator)
    ids[:, QUESTION : QUESTION + len(tail)] = torch.tensor(tail)
    labels = ids.clone()
    labels[:, : QUESTION + len(tail)] = -100
    return model, {"input_ids": ids, "labels": labels}


def step(model: Coconut, batch: dict[str, torch.Tensor], kind: str) -> None:
    """Do one forward and backward pass."""
    again = kind.endswith("again")
    if kind.startswith("plain"):
        ids = batch["input_ids"]
        settings = {"use_reentrant": False}
        if again:
            model.language_model.gradient_checkpointing_enable(settings)
        loss = model.language_model(input_ids=ids, labels=ids, use_cache=False).loss
        loss.backward()
        if again:
            model.language_model.gradient_checkpointing_disable()
    else:
        model(**batch, recompute=again).loss.backward()
    model.zero_grad()


def megabytes(kind: str) -> tuple[float, float]:
    """Measure, in a process of its own, the memory of the idle model and the peak of one step."""
    done = subprocess.run(
        [sys.executable, __file__, kind], capture_output=True, text=True, check=True
    )
    idle, peak = map(float, done.stdout.split())
    return idle, peak


def peak_of(kind: str) -> None:
    """Print the memory of this process before and after two steps, in MB."""
    torch.set_num_threads(THREADS)
    model, batch = make()
    idle = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    for _ in range(2):
        step(model, batch, kind)
    print(idle, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Print the peaks, the median times, and their ratios."""
    # First: a process starts with the peak of the one that started it, and this one is small yet.
    peaks = {kind: megabytes(kind) for kind in KINDS}
    torch.set_num_threads(THREADS)
    model, batch = make()
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for turn in range(ROUNDS + 1):
        for kind, found in times.items():
            began = time.perf_counter()
            step(model, batch, kind)
            if turn:
                found.append(time.perf_counter() - began)
    idle, plain = peaks["plain"]
    seconds = statistics.median(times["plain"])
    print(
        f"GPT-2-small shape, batch {ROWS}, {QUESTION}+{THOUGHTS}+{ANSWER} tokens, {THREADS} "
        f"threads; {idle:.0f} MB before the first step; beside a plain step (median of {ROUNDS}):"
    )
    for kind in KINDS:
        peak, took = peaks[kind][1], statistics.median(times[kind])
        print(
            f"  {kind:15} {took:5.2f} s, ratio {took / seconds:.2f}; peak {peak:5.0f} MB, ratio "
            f"{peak / plain:.2f}"
        )
    print("  wanted for a latent step: time at most 1.20, memory at most 0.70")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        peak_of(sys.argv[1])
    else:
        main()
