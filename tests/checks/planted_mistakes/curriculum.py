"""Typical mistakes in 03, exercises 1 to 3: what the model is trained on and asked."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from planted_mistakes.table import planted

# --- exercise 1: encode_stage ---------------------------------------------------------------------


def encoded(
    problem, tokenizer, stage, max_stage, c, *, kept=None, count=None, order="qbtesax", **how
):
    """The right row, around choices that may be wrong; `order` says which parts, in which order.

    q question, b `<bot>`, t thoughts, e `<eot>`, s steps, a answer, x end of sequence.
    """
    special, line = how.get("special", False), how.get("line", "\n")
    steps, most = list(problem.steps), min(stage, max_stage)
    kept = (steps[stage:] if stage <= max_stage else []) if kept is None else kept(steps)
    bot, eot, thought = tokenizer.convert_tokens_to_ids(["<bot>", "<eot>", "<thought>"])

    def ids(text):
        return tokenizer(text, add_special_tokens=special).input_ids

    parts = {
        "q": tokenizer(problem.question + line).input_ids,
        "b": [bot],
        "t": [thought] * (most * c if count is None else count),
        "e": [eot],
        "s": [token for step in kept for token in ids(step + line)],
        "a": ids(how.get("answer", "### {}").format(problem.answer)),
        "x": [tokenizer.eos_token_id],
    }
    return [token for name in order for token in parts[name]]


@planted("encode_stage", "you drop the last steps")
def encoded_without_the_last_steps(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[: max(len(steps) - stage, 0)] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "the steps that they replace are there too")
def encoded_with_all_steps(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "you drop one step only")
def encoded_without_one_step(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[min(stage, 1) :] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "You drop k·c steps")
def encoded_with_c_times_the_steps_dropped(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return steps[stage * c :] if stage <= max_stage else []

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "however many the problem has")
def encoded_with_steps_past_the_last_stage(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, kept=lambda steps: steps[stage:])


@planted("encode_stage", "you treat a stage past max_stage like max_stage")
def encoded_with_the_stage_capped(problem, tokenizer, stage, max_stage, c):
    stage = min(stage, max_stage)
    return encoded(problem, tokenizer, stage, max_stage, c)


@planted("encode_stage", "Compare with >, not with >=")
def encoded_with_the_last_stage_too_early(problem, tokenizer, stage, max_stage, c):
    def kept(steps):
        return [] if stage >= max_stage else steps[stage:]

    return encoded(problem, tokenizer, stage, max_stage, c, kept=kept)


@planted("encode_stage", "you forget c")
def encoded_without_c(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, 1)


@planted("encode_stage", "not capped")
def encoded_without_a_cap(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, count=stage * c)


@planted("encode_stage", "with few steps fewer thoughts")
def encoded_with_fewer_thoughts(problem, tokenizer, stage, max_stage, c):
    count = min(stage, max_stage, len(problem.steps)) * c
    return encoded(problem, tokenizer, stage, max_stage, c, count=count)


@planted("encode_stage", "the cap is max_stage·c")
def encoded_with_thoughts_capped_at_max_stage(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, count=min(stage * c, max_stage))


@planted("encode_stage", "each token of a removed step")
def encoded_with_a_thought_per_token(problem, tokenizer, stage, max_stage, c):
    removed = problem.steps[: min(stage, max_stage)]
    count = sum(len(tokenizer(s + "\n", add_special_tokens=False).input_ids) for s in removed) * c
    return encoded(problem, tokenizer, stage, max_stage, c, count=count)


@planted("encode_stage", "missing at stage 0")
def encoded_without_markers_at_stage_0(problem, tokenizer, stage, max_stage, c):
    order = "qbtesax" if stage else "qsax"
    return encoded(problem, tokenizer, stage, max_stage, c, order=order)


@planted("encode_stage", "missing at every stage")
def encoded_without_markers(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qtsax")


@planted("encode_stage", "<eot> is missing")
def encoded_without_eot(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qbtsax")


@planted("encode_stage", "end of sequence is missing")
def encoded_without_an_end(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qbtesa")


@planted("encode_stage", "steps come before <bot>")
def encoded_with_steps_first(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qsbteax")


@planted("encode_stage", "before the question")
def encoded_with_thoughts_first(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="bteqsax")


@planted("encode_stage", "the mark ### is missing")
def encoded_without_the_mark(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, answer="{}")


@planted("encode_stage", "line break behind the answer")
def encoded_with_a_line_break_too_many(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, answer="### {}\n")


@planted("encode_stage", "line breaks are missing")
def encoded_without_line_breaks(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, line="")


@planted("encode_stage", "in the middle of the row")
def encoded_with_special_tokens(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, special=True)


@planted("encode_stage", "in one go")
def encoded_in_one_go(problem, tokenizer, stage, max_stage, c):
    start = encoded(problem, tokenizer, stage, max_stage, c, order="qbte")
    kept = problem.steps[stage:] if stage <= max_stage else ()
    text = "".join(step + "\n" for step in kept) + f"### {problem.answer}"
    rest = tokenizer(text, add_special_tokens=False).input_ids
    return [*start, *rest, tokenizer.eos_token_id]


@planted("encode_stage", "the question is missing")
def encoded_without_the_question(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="btesax")


@planted("encode_stage", "token 11 is '<eot>', it should be '<bot>'")
def encoded_with_markers_in_the_wrong_order(problem, tokenizer, stage, max_stage, c):
    return encoded(problem, tokenizer, stage, max_stage, c, order="qetbsax")


# --- exercise 2: make_labels ----------------------------------------------------------------------


def is_behind(ids, eot_id):
    found = (ids == eot_id).long()
    return (found.cumsum(1) - found).bool()


def learned(ids, mask, eot_id):
    return torch.where(is_behind(ids, eot_id) & mask.bool(), ids, -100)


@planted("make_labels", "shifted by hand")
def labels_shifted_by_hand(ids, mask, eot_id):
    return F.pad(learned(ids, mask, eot_id)[:, 1:], (0, 1), value=-100)


@planted("make_labels", "shifted to the right")
def labels_shifted_to_the_right(ids, mask, eot_id):
    return F.pad(learned(ids, mask, eot_id), (1, -1), value=-100)


@planted("make_labels", "nothing is masked")
def labels_are_the_ids(ids, mask, eot_id):
    return ids.clone()


@planted("make_labels", "only padding is masked")
def labels_everywhere(ids, mask, eot_id):
    return ids.masked_fill(mask == 0, -100)


@planted("make_labels", "loss on the question")
def labels_on_the_question(ids, mask, eot_id):
    latent = (ids == eot_id) | (ids == eot_id - 1) | (ids == eot_id + 1)
    return ids.masked_fill((mask == 0) | latent, -100)


@planted("make_labels", "loss on the thoughts")
def labels_on_the_thoughts(ids, mask, eot_id):
    behind_bot = is_behind(ids, eot_id - 1)
    return ids.masked_fill((mask == 0) | ~behind_bot, -100)


@planted("make_labels", "Only the question is masked")
def labels_from_bot_on(ids, mask, eot_id):
    from_bot = (ids == eot_id - 1).cumsum(1).bool()
    return ids.masked_fill((mask == 0) | ~from_bot, -100)


@planted("make_labels", "placeholders have the label")
def labels_on_placeholders(ids, mask, eot_id):
    return torch.where(ids == eot_id + 1, ids, learned(ids, mask, eot_id))


@planted("make_labels", "<eot> has a label")
def labels_on_eot(ids, mask, eot_id):
    return torch.where(ids == eot_id, ids, learned(ids, mask, eot_id))


@planted("make_labels", "mask both markers")
def labels_on_markers(ids, mask, eot_id):
    return torch.where((ids == eot_id) | (ids == eot_id - 1), ids, learned(ids, mask, eot_id))


@planted("make_labels", "first token behind <eot> has no label")
def labels_one_too_late(ids, mask, eot_id):
    labels = learned(ids, mask, eot_id)
    labels[:, 1:][ids[:, :-1] == eot_id] = -100
    return labels


@planted("make_labels", "padding has labels")
def labels_on_padding(ids, mask, eot_id):
    return torch.where(is_behind(ids, eot_id), ids, -100)


@planted("make_labels", "take padding from the attention mask")
def labels_without_what_pads(ids, mask, eot_id):
    return learned(ids, ids != ids[:, -1:], eot_id)


@planted("make_labels", "the value that the loss leaves out is -100")
def labels_masked_by_zero(ids, mask, eot_id):
    return ids * is_behind(ids, eot_id) * mask


@planted("make_labels", "upside down")
def labels_upside_down(ids, mask, eot_id):
    return ids.masked_fill(is_behind(ids, eot_id) & mask.bool(), -100)


@planted("make_labels", "no column has a label")
def labels_nowhere(ids, mask, eot_id):
    return torch.full_like(ids, -100)


# --- exercise 3: count_thoughts -------------------------------------------------------------------


def most_of(steps, max_stage, pad_to_max):
    return max_stage if pad_to_max else min(steps, max_stage)


@planted("count_thoughts", "swapped")
def counted_the_other_way_round(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return min(stage, most) * c, (stage if stage <= max_stage else most) * c


@planted("count_thoughts", "forget c")
def counted_without_c(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return stage if stage <= max_stage else most, min(stage, most)


@planted("count_thoughts", "the rule of training for the prompt")
def counted_as_in_training(steps, stage, max_stage, c, pad_to_max):
    count = (stage if stage <= max_stage else most_of(steps, max_stage, pad_to_max)) * c
    return count, count


@planted("count_thoughts", "the rule of the prompt for training")
def counted_as_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    count = min(stage, most_of(steps, max_stage, pad_to_max)) * c
    return count, count


@planted("count_thoughts", "in training, your count is not capped")
def counted_without_a_cap_in_training(steps, stage, max_stage, c, pad_to_max):
    return stage * c, min(stage, most_of(steps, max_stage, pad_to_max)) * c


@planted("count_thoughts", "you leave pad_to_max out")
def counted_as_if_padded_in_training(steps, stage, max_stage, c, pad_to_max):
    return min(stage, max_stage) * c, min(stage, most_of(steps, max_stage, pad_to_max)) * c


@planted("count_thoughts", "in the prompt, your count is not capped")
def counted_without_a_cap_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(
        stage, stage if pad_to_max else steps
    ) * c


@planted("count_thoughts", "whatever the stage")
def counted_in_full_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, most * c


@planted("count_thoughts", "all problems get equally many")
def counted_by_steps_in_the_prompt(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(stage, max_stage, steps) * c


@planted("count_thoughts", "pad_to_max is upside down")
def counted_with_padding_upside_down(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, not pad_to_max)
    return (stage if stage <= max_stage else most) * c, min(stage, most) * c


@planted("count_thoughts", "multiply by c too early")
def counted_with_c_too_early(steps, stage, max_stage, c, pad_to_max):
    most = most_of(steps, max_stage, pad_to_max)
    return stage * c if stage <= max_stage else min(stage * c, most), min(stage * c, most)
