"""The checks behind the exercises: each runs what a learner wrote and names typical mistakes."""

from coconut_lab.checks.alignment import align
from coconut_lab.checks.base import CheckFailed
from coconut_lab.checks.comparing import longest_chain, mcnemar, verdict, wilson_interval
from coconut_lab.checks.gradients import thought_gradients
from coconut_lab.checks.latent_forward import feed_back, think_with_cache, think_without_cache

__all__ = [
    "CheckFailed",
    "align",
    "feed_back",
    "longest_chain",
    "mcnemar",
    "think_with_cache",
    "think_without_cache",
    "thought_gradients",
    "verdict",
    "wilson_interval",
]
