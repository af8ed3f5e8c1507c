"""Soft optimality: reinforcement learning and control as probabilistic inference, exact and in NumPy.

    import soft_optimality as so

Floors, each importing only from those below: numerics; mdp, hmm; worlds, backups; planning, posterior, objectives; the learners
(sampling, q_learning, hindsight, linear_q, policy_gradient, actor_critic, sac); plotting, explorers.
"""

from . import backups, plotting, worlds
from .explorers import BackupExplorer, GridworldExplorer, HMMExplorer, LearningExplorer, LotteryExplorer
from .hmm import HMM
from .mdp import MDP
from .numerics import NotConverged
from .objectives import elbo, expected_return, occupancy, posterior_kl
from .planning import Plan, evaluate_policy, optimistic_value_iteration, soft_value_iteration, value_iteration
from .posterior import Posterior, condition_on_optimality
from .q_learning import soft_q_learning

__version__ = "0.1.0"

__all__ = [
    "HMM",
    "MDP",
    "BackupExplorer",
    "GridworldExplorer",
    "HMMExplorer",
    "LearningExplorer",
    "LotteryExplorer",
    "NotConverged",
    "Plan",
    "Posterior",
    "backups",
    "condition_on_optimality",
    "elbo",
    "evaluate_policy",
    "expected_return",
    "occupancy",
    "optimistic_value_iteration",
    "plotting",
    "posterior_kl",
    "soft_q_learning",
    "soft_value_iteration",
    "value_iteration",
    "worlds",
]
