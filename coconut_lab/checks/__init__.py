"""The checks of the exercises: each runs what a learner wrote and names the mistake in it.

`checks.NAME(function)` is the exercise NAME, in the file of its notebook: the right function, the
cases it is tried on, and a table of mistakes, each a change to the text of the right function.
`engine` compares and blames, `values` puts values into words, `models` has tiny models to try on.
"""

from coconut_lab.checks.engine import CheckFailed
from coconut_lab.checks.nb01_graphs import add_node, farther_option
from coconut_lab.checks.nb01_tasks import chain_holds, fed_from, step_holds
from coconut_lab.checks.nb02_batch_and_gradient import align, slope_at_thought
from coconut_lab.checks.nb02_latent_forward import (
    early_answers,
    soft_word,
    think_without_cache,
)
from coconut_lab.checks.nb03_curriculum import count_thoughts, encode_stage, plan
from coconut_lab.checks.nb03_masks import make_labels, reach
from coconut_lab.checks.nb04_parts_of_a_batch import accumulate, loss_share
from coconut_lab.checks.nb04_training import rate_at, train_part
from coconut_lab.checks.nb05_halting import choose_threshold, train_classifier
from coconut_lab.checks.nb05_inference import halt_by_row, think_fixed, write_on
from coconut_lab.checks.nb06_inside_a_thought import branches, frontier_mass, grow, node_value
from coconut_lab.checks.nb07_what_matters import (
    longest_chain,
    mcnemar,
    problems_needed,
    verdict,
    wilson,
)
from coconut_lab.checks.nb08_is_it_reasoning import decided, erase, other_root, rewired
from coconut_lab.checks.nb09_real_models import count_work, new_tokens, same_number
from coconut_lab.checks.nb10_steering import backtrack, dose_curve, group_advantage, jacobi
from coconut_lab.checks.nb11_what_supervises_a_thought import frontier_target, lead, step_loss

__all__ = [
    "CheckFailed", "accumulate", "add_node", "align", "backtrack", "branches", "chain_holds",
    "choose_threshold", "count_thoughts", "count_work", "decided", "dose_curve", "early_answers",
    "encode_stage", "erase", "farther_option", "fed_from", "frontier_mass", "frontier_target",
    "group_advantage", "grow", "halt_by_row", "jacobi", "lead", "longest_chain", "loss_share",
    "make_labels", "mcnemar", "new_tokens", "node_value", "other_root", "plan", "problems_needed",
    "rate_at", "reach", "rewired", "same_number", "slope_at_thought", "soft_word", "step_holds",
    "step_loss", "think_fixed", "think_without_cache", "train_classifier", "train_part", "verdict",
    "wilson", "write_on",
]  # fmt: skip
