"""Think, then decode: any batch of prompts, one cache through both phases.

Every prompt first goes through the latent forward. Then all rows read on, pass by pass, and each
row has its own next input: its own hidden state while it thinks, `<eot>` once it has stopped, then
the tokens that it writes. No row waits for another, and rows that have finished leave the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from coconut_lab.curriculum.tokenizer import ANSWER_MARK
from coconut_lab.errors import check_whole, checks_kinds
from coconut_lab.inference.decoding import Batch, Row
from coconut_lab.inference.halting import FixedThoughts, HaltError, Halting
from coconut_lab.inference.prompts import check_positions, read_prompts, split_prompt
from coconut_lab.inference.sampling import Sampling
from coconut_lab.model.coconut import Coconut
from coconut_lab.model.edits import Edit
from coconut_lab.model.modes import evaluating
from coconut_lab.model.outputs import ModelError
from coconut_lab.model.passes import Passes, give_back_memory

END = "end of sequence"
#: How many rows go through the model at once: on a CPU as many as fit its caches, elsewhere memory.
CPU_ROWS, GPU_ROWS = 128, 500
#: With at least this many rows, a batch ends where the next prompt has another length: prompts of
#: one length need no padding, and so no mask.
CPU_PART = 64
#: For how many columns after the prompts the cache makes room at once; answers may be short.
ROOM = 8


@dataclass(frozen=True)
class Generation:
    """What a model wrote after one prompt.

    Attributes:
        token_ids: the new tokens only, without the end of sequence.
        text: the same, decoded.
        thoughts_used: how many thoughts it had.
        finished: True if it ended by itself, False if it was cut at `max_new_tokens`.
        stopped: why it stopped writing: `"end of sequence"`, or the limit.
        halted: why it stopped thinking: `"prompt"` (the prompt holds the placeholders), `"fixed"`,
            `"rule"`, or the limit.
        passes: how many forward passes it took, counted as if it were alone in its batch.
        look_ahead_passes: how many of these only served to decide when to stop thinking.
        thoughts: (n, d) the vectors that were fed back, if asked for; else None.
    """

    token_ids: list[int]
    text: str
    thoughts_used: int
    finished: bool
    stopped: str = ""
    halted: str = ""
    passes: int = 0
    look_ahead_passes: int = 0
    thoughts: Tensor | None = field(default=None, compare=False, repr=False)


@checks_kinds(ModelError, "prompts", "halting")
@give_back_memory()
@torch.no_grad()
def generate(
    model: Coconut,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int = 64,
    halting: Halting | FixedThoughts | None = None,
    *,
    edit: Edit | None = None,
    sampling: Sampling | None = None,
    return_thoughts: bool = False,
    batch_size: int | None = None,
) -> list[Generation]:
    """Let a model think, then write, for any number of prompts at once.

    What a prompt gets does not depend on the others in the batch. Without a halting rule the
    model thinks at the placeholders of each prompt; prompts without any (CoT, No-CoT, iCoT, pause
    tokens) are simply continued. With a rule, thinking starts at the last `<bot>`: placeholders in
    the prompt are dropped, each row stops when the rule says so, and then reads `<eot>` and what
    follows it in the prompt.

    Args:
        model: the model; it runs in evaluation mode, whatever mode it is in.
        tokenizer: its tokenizer.
        prompts: token ids, as `Curriculum.prompt` makes them, or ending at `<bot>`.
        max_new_tokens: where to cut a row that does not end by itself.
        halting: when to stop thinking: `FixedThoughts`, `LearnedHalt`, `ConfidentHalt`, or any
            other `Halting`; None leaves it to the placeholders.
        edit: changes thoughts before they are fed back, and so all that comes after; see `Edit`.
            A halting rule looks at the hidden states as they are.
        sampling: how to draw tokens; None always takes the most probable one.
        return_thoughts: also return the vectors that were fed back.
        batch_size: how many prompts make a batch, of those that are most alike in length; None
            is at most 128 on a CPU and 500 elsewhere. It changes speed and memory only.

    Returns:
        One `Generation` per prompt, in order.

    Raises:
        ModelError: no prompts, one that is no list of the model's token ids or starts with a
            placeholder, more positions than the model has (all found before any work is done), or
            logits that are not numbers.
        HaltError: no halting rule, or one that was trained for another model.
    """
    for name, value in (("max_new_tokens", max_new_tokens), ("batch_size", batch_size)):
        if value is not None:
            check_whole(name, value, 1, ModelError)
    rows = [Row(index, prompt) for index, prompt in enumerate(read_prompts(prompts, model))]
    rule, look_ahead = None, []
    if isinstance(halting, FixedThoughts):  # known beforehand: these are placeholders
        for row, count in zip(rows, halting.counts(len(rows)), strict=True):
            head, tail = split_prompt(row.prompt, model, row.index)
            row.prompt, row.halted = [*head, *[model.tokens.thought] * count, *tail], "fixed"
    elif isinstance(halting, Halting):
        (rule := halting).check(model)
        look_ahead = [model.tokens.eot, *tokenizer(ANSWER_MARK, add_special_tokens=False).input_ids]
        for row in rows:
            row.prompt, row.forced = split_prompt(row.prompt, model, row.index)
            row.thinking, row.halted = True, "rule"
    elif halting is not None:
        raise HaltError(f"halting is {halting!r}; give a rule, such as FixedThoughts(3)")
    most = 0 if rule is None else rule.max_thoughts
    after = [most + max(len(row.forced) + max_new_tokens, len(look_ahead)) for row in rows]
    needed = [len(row.prompt) + columns for row, columns in zip(rows, after, strict=True)]
    check_positions(model, needed, most, max_new_tokens)

    draws = None if sampling is None else sampling.draws(len(rows), max_new_tokens)
    on_cpu = model.device.type == "cpu" and batch_size is None
    size = batch_size or (CPU_ROWS if on_cpu else GPU_ROWS)
    # A rule or an edit may be anyone's, and may keep what it is given; nobody else sees these.
    guard = torch.inference_mode() if rule is None and edit is None else torch.no_grad()
    with guard, evaluating(model):
        passes = Passes(model, room=min(max(after), ROOM))
        for part in _batches(rows, size, CPU_PART if on_cpu else size):
            batch = Batch(model, tokenizer, part, passes, edit)
            while True:
                if rule is not None:
                    batch.stop_thinking(rule, look_ahead)
                batch.write(sampling, draws)
                if not batch.keep_going(max_new_tokens):
                    break
                batch.read_on()
    return [
        Generation(
            token_ids=row.written,
            text=str(tokenizer.decode(row.written)),
            thoughts_used=row.thoughts_used,
            finished=row.finished,
            stopped=END if row.finished else f"limit of {max_new_tokens} new tokens",
            halted=row.halted,
            passes=row.passes,
            look_ahead_passes=row.look_ahead_passes,
            thoughts=torch.cat(row.thoughts) if return_thoughts else None,
        )
        for row in rows
    ]


def _batches(rows: list[Row], most: int, least: int) -> list[list[Row]]:
    """Cut rows into batches of at most `most`, if possible of one length; the longest come first.

    A batch with at least `least` rows ends where the next row has another length.
    """
    parts: list[list[Row]] = []
    for row in sorted(rows, key=lambda row: -len(row.prompt)):
        last = parts[-1] if parts else []
        shorter = last and len(row.prompt) < len(last[-1].prompt)
        if not last or len(last) >= most or (shorter and len(last) >= least):
            parts.append([row])
        else:
            last.append(row)
    return parts
