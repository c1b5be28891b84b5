"""Typical mistakes in 01, exercises 4 and 5: making graphs."""

from __future__ import annotations

import functools
import math
import operator
import statistics

from planted_mistakes.table import planted

# --- exercise 4: add_node -------------------------------------------------------------------------


def node_added(
    labels, depths, count, r, sample,
    sides=((0, 1), (0, 2), (0, 1, 2, 3)),
    weight=lambda depth: depth * 1.5 + 1,
    join=lambda below: functools.reduce(operator.or_, below, 0),
    deepen=lambda above: 1 + min(above) if above else 0,
    most=min,
):  # fmt: skip
    """The right step, around parts that may be wrong."""
    side = sides[0] if r <= 0.35 else sides[1] if r <= 0.7 else sides[2]
    candidates = [node for node, label in enumerate(labels) if label in side]
    weights = [weight(depths[node]) for node in candidates]
    parents = sample(candidates, weights, most(count, len(candidates)))
    below, above = [labels[p] for p in parents], [depths[p] for p in parents]
    return parents, join(below), deepen(above)


@planted("add_node", "nodes with label 0 are missing")
def node_without_group_0(*arguments):
    return node_added(*arguments, sides=((1,), (2,), (0, 1, 2, 3)))


@planted("add_node", "nodes with label 3 are candidates for every r")
def node_below_both_always(*arguments):
    return node_added(*arguments, sides=((0, 1, 3), (0, 2, 3), (0, 1, 2, 3)))


@planted("add_node", "candidates are chosen with `label & 1`")
def node_by_bits(*arguments):
    return node_added(*arguments, sides=((1, 3), (2, 3), (0, 1, 2, 3)))


@planted("add_node", "the two sides are swapped")
def node_on_the_other_side(*arguments):
    return node_added(*arguments, sides=((0, 2), (0, 1), (0, 1, 2, 3)))


@planted("add_node", "all nodes are candidates for every r")
def node_without_sides(*arguments):
    return node_added(*arguments, sides=((0, 1, 2, 3),) * 3)


@planted("add_node", "those with label 3 too")
def node_never_below_both(*arguments):
    return node_added(*arguments, sides=((0, 1), (0, 2), (0, 1, 2)))


@planted("add_node", "the candidates are")
def node_of_two_sides_at_most(*arguments):
    return node_added(*arguments, sides=((0, 1), (0, 2), (1, 2)))


@planted("add_node", "the weights are uniform")
def node_of_uniform_weights(*arguments):
    return node_added(*arguments, weight=lambda depth: 1)


@planted("add_node", "the factor 1.5 is missing")
def node_of_plain_depths(*arguments):
    return node_added(*arguments, weight=lambda depth: depth + 1)


@planted("add_node", "the + 1 is missing")
def node_of_weights_without_one(*arguments):
    return node_added(*arguments, weight=lambda depth: depth * 1.5)


@planted("add_node", "upside down")
def node_of_shallow_parents(*arguments):
    return node_added(*arguments, weight=lambda depth: 1 / (1 + 1.5 * depth))


@planted("add_node", "min(count, len(candidates))")
def node_of_too_many_parents(*arguments):
    return node_added(*arguments, most=lambda count, there: count)


@planted("add_node", "but sample was asked for 1")
def node_of_one_parent(*arguments):
    return node_added(*arguments, most=lambda count, there: min(count, 1))


@planted("add_node", "is the AND of the parents' labels")
def node_label_and(*arguments):
    return node_added(*arguments, join=lambda below: functools.reduce(operator.and_, below, 3))


@planted("add_node", "is the sum of the parents' labels")
def node_label_sum(*arguments):
    return node_added(*arguments, join=sum)


@planted("add_node", "is the XOR of the parents' labels")
def node_label_xor(*arguments):
    return node_added(*arguments, join=lambda below: functools.reduce(operator.xor, below, 0))


@planted("add_node", "is the largest of the parents' labels")
def node_label_max(*arguments):
    return node_added(*arguments, join=lambda below: max(below, default=0))


@planted("add_node", "only one parent's label")
def node_label_of_the_first(*arguments):
    return node_added(*arguments, join=lambda below: below[0] if below else 0)


@planted("add_node", "a node without parents should have label 0")
def node_label_alone(*arguments):
    return node_added(
        *arguments, join=lambda below: functools.reduce(operator.or_, below) if below else 1
    )


@planted("add_node", "the depth is that of the parent")
def node_depth_of_the_parent(*arguments):
    return node_added(*arguments, deepen=lambda above: min(above, default=0))


@planted("add_node", "counted along the longest way")
def node_depth_of_the_longest_way(*arguments):
    return node_added(*arguments, deepen=lambda above: 1 + max(above) if above else 0)


@planted("add_node", "a node without parents should have depth 0")
def node_depth_alone(*arguments):
    return node_added(*arguments, deepen=lambda above: 1 + min(above, default=0))


@planted("add_node", "sample should be called once")
def node_of_parents_one_by_one(labels, depths, count, r, sample):
    nodes = list(range(len(labels)))
    parents = [sample(nodes, [1.0] * len(nodes), 1)[0] for _ in range(count)]
    return parents, 0, 0


# --- exercise 5: farther_option -------------------------------------------------------------------


def hops_from(statement, starts):
    hops, queue = dict.fromkeys(starts, 0), list(starts)
    for name in queue:
        for parent, child in statement.facts:
            if parent == name and child not in hops:
                hops[child] = hops[name] + 1
                queue.append(child)
    return hops


def parentless(statement):
    return {a for a, _ in statement.facts} - {b for _, b in statement.facts}


def ways_to(statement, option):
    """Hops to an option from each parentless node that leads to it."""
    found = [hops_from(statement, [start]) for start in parentless(statement)]
    return [hops[option] for hops in found if option in hops]


def higher(statement, score, tie="tie"):
    first, second = statement.options
    if score(first) == score(second):
        return tie
    return first if score(first) > score(second) else second


@planted("farther_option", "takes the option that can be reached")
def option_that_answers_the_question(statement):
    hops = hops_from(statement, [statement.asked])
    return higher(statement, lambda option: hops.get(option, -1))


@planted("farther_option", "the option out of reach counts as farther")
def option_out_of_reach(statement):
    hops = hops_from(statement, [statement.asked])
    return higher(statement, lambda option: hops.get(option, math.inf))


@planted("farther_option", "it takes the nearer option")
def option_that_is_nearer(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, lambda option: -hops[option])


@planted("farther_option", "from the farthest parentless node")
def option_far_from_the_farthest(statement):
    return higher(statement, lambda option: max(ways_to(statement, option)))


@planted("farther_option", "the mean over the parentless nodes")
def option_far_on_average(statement):
    return higher(statement, lambda option: statistics.fmean(ways_to(statement, option)))


@planted("farther_option", "the longest way down")
def option_by_the_longest_way(statement):
    def layer(name):
        return max((layer(a) + 1 for a, b in statement.facts if b == name), default=0)

    return higher(statement, layer)


@planted("farther_option", "on a tie it takes the first option")
def option_first_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, statement.options[0])


@planted("farther_option", "on a tie it takes the second option")
def option_second_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, statement.options[1])


@planted("farther_option", "start from every name")
def option_from_everywhere(statement):
    hops = hops_from(statement, {name for fact in statement.facts for name in fact})
    return higher(statement, hops.__getitem__)


@planted("farther_option", "it should return 'tie', not None")
def option_none_on_a_tie(statement):
    hops = hops_from(statement, parentless(statement))
    return higher(statement, hops.__getitem__, None)
