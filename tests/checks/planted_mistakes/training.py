"""Typical mistakes in 04."""

from __future__ import annotations

from copy import deepcopy

from planted_mistakes.table import planted

# --- exercise 1: rate_at --------------------------------------------------------------------------


def rate(step, phases, peak, warmup, *, again=None, first=1, fall=None, cap=True):
    """The rate of a step; `again(stage, previous)` says where the warm-up begins anew."""
    again = again or (lambda stage, previous: stage != previous)
    fall = fall or (lambda done, steps, final: 1 - (1 - final) * done / steps)
    start = reset = 0
    previous = None
    for stage, steps, final in phases:
        if previous is None or again(stage, previous):
            reset = start
        if step < start + steps:
            warm = (step - reset + first) / warmup
            return peak * (min(1, warm) if cap else warm) * fall(step - start, steps, final)
        start, previous = start + steps, stage
    return 0.0


@planted("rate_at", "there is no warm-up")
def rate_without_warmup(step, phases, peak, warmup):
    return rate(step, phases, peak, 1)


@planted("rate_at", "begins at 0")
def rate_that_begins_at_zero(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, first=0)


@planted("rate_at", "warm up only once")
def rate_warmed_up_once(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, again=lambda stage, previous: False)


@planted("rate_at", "warm up at every phase")
def rate_warmed_up_in_every_phase(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, again=lambda stage, previous: True)


@planted("rate_at", "does not end")
def rate_that_rises_on(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, cap=False)


@planted("rate_at", "does not fall")
def rate_that_never_falls(step, phases, peak, warmup):
    return rate(step, phases, peak, warmup, fall=lambda *_: 1.0)


@planted("rate_at", "falls over the whole run")
def rate_that_falls_over_the_run(step, phases, peak, warmup):
    total, final = sum(steps for _, steps, _ in phases), phases[-1][2]
    warm = rate(step, phases, peak, warmup, fall=lambda *_: 1.0)
    return warm * (1 - (1 - final) * step / total)


@planted("rate_at", "one step ahead")
def rate_one_step_ahead(step, phases, peak, warmup):
    def fall(done, steps, final):
        return 1 - (1 - final) * (done + 1) / steps

    return rate(step, phases, peak, warmup, fall=fall)


@planted("rate_at", "as if it fell to 0 at final = 1")
def rate_that_falls_by_final(step, phases, peak, warmup):
    def fall(done, steps, final):
        return 1 - final * done / steps

    return rate(step, phases, peak, warmup, fall=fall)


# --- exercise 4: accumulate -----------------------------------------------------------------------


def labels_in(rows):
    return (rows["labels"][:, 1:] != -100).sum()


def accumulated(model, batch, size, weigh, *, zero="before", report=None, stop=None):
    """Gradients of the parts, each times `weigh(part, batch, number of parts)`."""
    parts = [
        {name: value[start : start + size] for name, value in batch.items()}
        for start in range(0, len(batch["labels"]), size)
    ][:stop]
    if zero == "before":
        model.zero_grad()
    means, total = [], 0.0
    for part in parts:
        if zero == "inside":
            model.zero_grad()
        mean = model(**part).loss
        (mean * weigh(part, batch, len(parts))).backward()
        means.append(mean.item())
        total += mean.item() * (labels_in(part) / labels_in(batch)).item()
    return report(means) if report else total


def token_share(part, batch, count):
    return labels_in(part) / labels_in(batch)


@planted("accumulate", "mean of the parts' means. The parts")
def accumulated_mean_of_means(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: 1 / count)


@planted("accumulate", "sum of the parts' means")
def accumulated_sum_of_means(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: 1)


@planted("accumulate", "weigh the parts by their rows")
def accumulated_by_rows(model, batch, size):
    def weigh(part, batch, count):
        return len(part["labels"]) / len(batch["labels"])

    return accumulated(model, batch, size, weigh)


@planted("accumulate", "divide twice")
def accumulated_divided_twice(model, batch, size):
    return accumulated(
        model, batch, size, lambda part, batch, count: token_share(part, batch, count) / count
    )


@planted("accumulate", "sum over tokens")
def accumulated_sum_over_tokens(model, batch, size):
    return accumulated(model, batch, size, lambda part, batch, count: labels_in(part))


@planted("accumulate", "do not zero the gradients before you begin")
def accumulated_without_zeroing(model, batch, size):
    return accumulated(model, batch, size, token_share, zero="never")


@planted("accumulate", "zero the gradients inside the loop")
def accumulated_zeroing_inside(model, batch, size):
    return accumulated(model, batch, size, token_share, zero="inside")


@planted("accumulate", "the last, smaller part is missing")
def accumulated_without_the_rest(model, batch, size):
    whole = len(batch["labels"]) // size
    return accumulated(model, batch, size, token_share, stop=whole)


@planted("accumulate", "no part may have more than size=3")
def accumulated_at_once(model, batch, size):
    model.zero_grad()
    loss = model(**batch).loss
    loss.backward()
    return loss


@planted("accumulate", "no parameter has a gradient afterwards")
def accumulated_and_thrown_away(model, batch, size):
    loss = accumulated(model, batch, size, token_share)
    model.zero_grad()
    return loss


@planted("accumulate", "the loss you return is that of the last part")
def accumulated_reporting_the_last(model, batch, size):
    return accumulated(model, batch, size, token_share, report=lambda means: means[-1])


@planted("accumulate", "the loss you return is the mean of the parts' means")
def accumulated_reporting_the_mean(model, batch, size):
    return accumulated(
        model, batch, size, token_share, report=lambda means: sum(means) / len(means)
    )


# --- exercise 3: train_part -----------------------------------------------------------------------


def part_of_a_run(
    model, make_optimizer, batch_at, rate_at, steps, saved, *,
    load=("model", "optimizer"), data_from=None, rate_from=None, zero=True, rates=True,
    save=deepcopy,
):  # fmt: skip
    optimizer, first = make_optimizer(model), 0
    if saved is not None:
        if "model" in load:
            model.load_state_dict(saved["model"])
        if "optimizer" in load:
            optimizer.load_state_dict(saved["optimizer"])
        first = saved["step"]
    for number in range(steps):
        if rates:
            for group in optimizer.param_groups:
                group["lr"] = rate_at(number + (first if rate_from is None else rate_from))
        model(batch_at(number + (first if data_from is None else data_from))).backward()
        optimizer.step()
        if zero:
            optimizer.zero_grad()
    states = {"model": model.state_dict(), "optimizer": optimizer.state_dict()}
    return save({**states, "step": first + steps})


@planted("train_part", "gradients are never zeroed")
def run_that_never_zeroes(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, zero=False)


@planted("train_part", "the learning rate of rate_at(step) is not set")
def run_without_rates(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, rates=False)


@planted("train_part", "the weights are not carried over")
def run_that_forgets_the_weights(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, load=("optimizer",)
    )


@planted("train_part", "the optimizer's state is forgotten")
def run_that_forgets_the_optimizer(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, load=("model",))


@planted("train_part", "the step starts again at 0")
def run_that_forgets_the_step(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, data_from=0, rate_from=0
    )


@planted("train_part", "the order of the data starts again")
def run_that_restarts_the_data(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, data_from=0)


@planted("train_part", "the learning rate starts again")
def run_that_restarts_the_rate(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(model, make_optimizer, batch_at, rate_at, steps, saved, rate_from=0)


@planted("train_part", "only the weights are carried over")
def run_that_keeps_the_weights_alone(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved,
        load=("model",), data_from=0, rate_from=0,
    )  # fmt: skip


@planted("train_part", "gives the live tensors")
def run_that_keeps_references(model, make_optimizer, batch_at, rate_at, steps, saved):
    return part_of_a_run(
        model, make_optimizer, batch_at, rate_at, steps, saved, save=lambda states: states
    )


# --- exercise 5: loss_share -----------------------------------------------------------------------


@planted("loss_share", "the mean loss of the process alone")
def share_left_out(mean, labelled_here, labelled, processes):
    return mean


@planted("loss_share", "too small by the number of processes")
def share_without_processes(mean, labelled_here, labelled, processes):
    return mean * labelled_here / labelled


@planted("loss_share", "the averaging does that once more")
def share_divided_again(mean, labelled_here, labelled, processes):
    return mean * labelled_here / labelled / processes


@planted("loss_share", "sum over the tokens of the process")
def share_as_a_sum(mean, labelled_here, labelled, processes):
    return mean * labelled_here


@planted("loss_share", "upside down")
def share_upside_down(mean, labelled_here, labelled, processes):
    return mean * labelled / labelled_here * processes


# --- exercise 2: wilson ---------------------------------------------------------------------------


def plain_interval(right, total, z=1.96):
    share = right / total
    half = z * (share * (1 - share) / total) ** 0.5
    return share - half, share + half


def wilson_parts(right, total, z=1.96):
    share, shrink = right / total, 1 + z * z / total
    middle = share + z * z / (2 * total)
    return share, middle, z * (share * (1 - share) / total + (z / total) ** 2 / 4) ** 0.5, shrink


def wilson_with(right, total, z):
    _, middle, half, shrink = wilson_parts(right, total, z)
    return (middle - half) / shrink, (middle + half) / shrink


@planted("wilson", "leaves the range from 0 to 1")
def interval_by_the_plain_formula(right, total):
    return plain_interval(right, total)


@planted("wilson", "has no width at all")
def interval_by_the_plain_formula_cut_off(right, total):
    low, high = plain_interval(right, total)
    return max(0, low), min(1, high)


@planted("wilson", "leaves 10% outside")
def interval_of_ninety_percent(right, total):
    return wilson_with(right, total, 1.645)


@planted("wilson", "one standard error")
def interval_of_one_standard_error(right, total):
    return wilson_with(right, total, 1)


@planted("wilson", "in percent")
def interval_in_percent(right, total):
    low, high = wilson_with(right, total, 1.96)
    return 100 * low, 100 * high


@planted("wilson", "stands around the share")
def interval_around_the_share_itself(right, total):
    share, _, half, shrink = wilson_parts(right, total)
    return share - half / shrink, share + half / shrink


@planted("wilson", "forget to divide")
def interval_not_divided(right, total):
    _, middle, half, _ = wilson_parts(right, total)
    return middle - half, middle + half


@planted("wilson", "swapped")
def interval_upside_down(right, total):
    return wilson_with(right, total, 1.96)[::-1]
