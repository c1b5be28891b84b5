"""Typical mistakes in the exercises of notebook 09; part of the table in `planted_mistakes`."""

from __future__ import annotations

import re
from fractions import Fraction

import torch

from planted_mistakes.table import planted

# --- exercise 1: new_tokens -----------------------------------------------------------------------


def both(model):
    return [model.get_input_embeddings(), model.get_output_embeddings()]


def grown(model, tokenizer, tokens, **how):
    tokenizer.add_tokens(tokens, special_tokens=True)
    model.resize_token_embeddings(len(tokenizer), **how)
    return tokenizer.convert_tokens_to_ids(tokens)


def source_of(tokenizer, known, **how):
    return tokenizer(known, **({"add_special_tokens": False} | how)).input_ids


@torch.no_grad()
def copied(model, ids, source, layers=None):
    for layer in layers or both(model):
        layer.weight[ids] = layer.weight[source].clone()
    return ids


@planted("new_tokens", "the tokenizer does not know <bot>")
def tokens_never_added(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    ids = [len(tokenizer) + index for index in range(len(tokens))]
    model.resize_token_embeddings(len(tokenizer) + len(tokens))
    return copied(model, ids, source)


@planted("new_tokens", "would be an index error")
def rows_never_added(model, tokenizer, tokens, known):
    tokenizer.add_tokens(tokens, special_tokens=True)
    return tokenizer.convert_tokens_to_ids(tokens)


@planted("new_tokens", "would be an index error")
def resized_before_the_tokens(model, tokenizer, tokens, known):
    model.resize_token_embeddings(len(tokenizer))
    tokenizer.add_tokens(tokens, special_tokens=True)
    return tokenizer.convert_tokens_to_ids(tokens)


@planted("new_tokens", "you forgot the head")
def head_forgotten(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    return copied(model, grown(model, tokenizer, tokens), source, [model.get_input_embeddings()])


@planted("new_tokens", "the mean of all rows")
def left_as_resized(model, tokenizer, tokens, known):
    return grown(model, tokenizer, tokens)


@planted("new_tokens", "the mean of all rows")
def mean_of_all(model, tokenizer, tokens, known):
    old = len(tokenizer)
    ids = grown(model, tokenizer, tokens, mean_resizing=False)
    with torch.no_grad():
        for layer in both(model):
            layer.weight[ids] = layer.weight[:old].mean(0)
    return ids


@planted("new_tokens", "copied onto itself, as in the published code")
def copied_onto_themselves(model, tokenizer, tokens, known):
    ids = grown(model, tokenizer, tokens, mean_resizing=False)
    with torch.no_grad():
        for index in ids:
            model.get_input_embeddings().weight[index] = model.get_input_embeddings().weight[index]
    return ids


@planted("new_tokens", "only one of the three")
def only_bot_copied(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    ids = grown(model, tokenizer, tokens, mean_resizing=False)
    copied(model, ids[:1], source)
    return ids


@planted("new_tokens", "puts <s> in front")
def copied_the_beginning(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known, add_special_tokens=True)[0]
    return copied(model, grown(model, tokenizer, tokens), source)


@planted("new_tokens", "not that of a later one")
def copied_the_last_token(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[-1]
    return copied(model, grown(model, tokenizer, tokens), source)


@planted("new_tokens", "takes the row of '<<' from itself")
def embedding_goes_into_the_head(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    ids = grown(model, tokenizer, tokens)
    with torch.no_grad():
        for layer in both(model):
            layer.weight[ids] = model.get_input_embeddings().weight[source].clone()
    return ids


@planted("new_tokens", "Only the new rows may be written to")
def known_is_overwritten(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    ids = grown(model, tokenizer, tokens)
    with torch.no_grad():
        for layer in both(model):
            layer.weight[source] = layer.weight[ids[0]].clone()
    return ids


@planted("new_tokens", "no longer one matrix")
def tie_is_broken(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    ids = grown(model, tokenizer, tokens)
    for layer in both(model):
        weight = layer.weight.detach().clone()
        weight[ids] = weight[source].clone()
        layer.weight = torch.nn.Parameter(weight)
    return ids


@planted("new_tokens", "should return the ids")
def tokens_returned(model, tokenizer, tokens, known):
    source = source_of(tokenizer, known)[0]
    copied(model, grown(model, tokenizer, tokens), source)
    return tokens


# --- exercise 2: same_number ----------------------------------------------------------------------

NUMBER = r"-?\d[\d,]*(?:\.\d+)?"


def behind(text):
    return text.rpartition("###")[2]


def compared(read):
    def same(written, answer):
        got = read(written)
        return got is not None and got == Fraction(answer.replace(",", ""))

    return same


def found(text, at=0, pattern=NUMBER):
    all_of_them = re.findall(pattern, text)
    return Fraction(all_of_them[at].replace(",", "")) if all_of_them else None


@planted("same_number", "you compare texts")
def texts_compared(written, answer):
    return behind(written).strip() == answer


@planted("same_number", "somewhere in the text")
def answer_in_the_text(written, answer):
    return answer in written


@planted("same_number", "somewhere behind ###")
def answer_behind_the_mark(written, answer):
    return answer in behind(written)


@planted("same_number", "the first number that was written")
def first_number_written(written, answer):
    return compared(found)(written, answer)


@planted("same_number", "the last number of the text")
def last_number_written(written, answer):
    return compared(lambda text: found(text, at=-1))(written, answer)


@planted("same_number", "end at a comma")
def numbers_end_at_commas(written, answer):
    got = found(behind(written), pattern=r"-?\d+(?:\.\d+)?")
    return got is not None and got == found(answer, pattern=r"-?\d+(?:\.\d+)?")


@planted("same_number", "cut decimals off")
def decimals_cut(written, answer):
    got, want = found(behind(written)), found(answer)
    return got is not None and int(got) == int(want)


@planted("same_number", "the sign gets lost")
def sign_lost(written, answer):
    return compared(lambda text: found(behind(text), pattern=r"\d[\d,]*(?:\.\d+)?"))(
        written, answer.lstrip("-")
    )


@planted("same_number", "a unit makes an answer wrong")
def units_not_understood(written, answer):
    try:
        got = float(behind(written).strip().replace(",", ""))
    except ValueError:
        return False
    return got == float(answer.replace(",", ""))


@planted("same_number", "raised ValueError")
def whole_numbers_only(written, answer):
    return int(behind(written)) == int(answer)


# --- exercise 3: count_work -----------------------------------------------------------------------


def counted(
    problems, phases, batch, micro, processes, c, last, *,
    epoch=lambda problems, batch, processes: problems // batch,
    rows=lambda batch, processes: batch // processes,
    pieces=lambda rows, micro: (rows + micro - 1) // micro,
    thoughts=lambda stage, last: min(stage, last),
    extra=1,
):  # fmt: skip
    each = pieces(rows(batch, processes), micro)
    steps = [(stage, epochs * epoch(problems, batch, processes)) for stage, epochs in phases]
    total = sum(count * each * (thoughts(stage, last) * c + extra) for stage, count in steps)
    return sum(count for _, count in steps), total


@planted("count_work", "count every part as an optimizer step")
def parts_as_steps(problems, phases, batch, micro, processes, c, last):
    steps, total = counted(problems, phases, batch, micro, processes, c, last)
    return steps * (-(-batch // processes // micro)), total


@planted("count_work", "you forget the processes")
def processes_forgotten(*given):
    return counted(*given, rows=lambda batch, processes: batch)


@planted("count_work", "every process a whole batch")
def a_whole_batch_each(*given):
    return counted(
        *given,
        epoch=lambda problems, batch, processes: problems // (batch * processes),
        rows=lambda batch, processes: batch,
    )


@planted("count_work", "divide the steps among the processes")
def steps_divided(*given):
    return counted(
        *given, epoch=lambda problems, batch, processes: problems // (batch * processes)
    )  # fmt: skip


@planted("count_work", "you forget the thoughts")
def one_pass_each(*given):
    return counted(*given, thoughts=lambda stage, last: 0)


@planted("count_work", "not n: behind the last one")
def as_many_passes_as_thoughts(problems, phases, batch, micro, processes, c, last):
    each = -(-(batch // processes) // micro)
    steps = [(stage, epochs * (problems // batch)) for stage, epochs in phases]
    total = sum(count * each * max(1, min(stage, last) * c) for stage, count in steps)
    return sum(count for _, count in steps), total


@planted("count_work", "you forget c")
def one_thought_for_a_step(problems, phases, batch, micro, processes, c, last):
    return counted(problems, phases, batch, micro, processes, 1, last)


@planted("count_work", "grow past the last stage")
def thoughts_not_capped(*given):
    return counted(*given, thoughts=lambda stage, last: stage)


@planted("count_work", "last batch of an epoch is too small")
def epochs_rounded_up(*given):
    return counted(*given, epoch=lambda problems, batch, processes: -(-problems // batch))


@planted("count_work", "you lose rows")
def parts_rounded_down(*given):
    return counted(*given, pieces=lambda rows, micro: max(1, rows // micro))


@planted("count_work", "swapped")
def work_swapped(*given):
    return counted(*given)[::-1]
