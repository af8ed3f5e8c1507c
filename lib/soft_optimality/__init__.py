"""Soft optimality: reinforcement learning and control as probabilistic inference, exact and in NumPy.

    import soft_optimality as so

Floors, each importing only from those below: numerics; mdp, hmm; worlds, backups; planning, posterior, objectives; the learners
(sampling, q_learning, hindsight, linear_q, policy_gradient, actor_critic, sac); plotting, explorers, checks.
What learns from an environment is imported when it is first asked for: Gymnasium takes its time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import backups, plotting, recorded, worlds
from .checks import check
from .explorers import BackupExplorer, GridworldExplorer, HMMExplorer, LearningExplorer, LotteryExplorer
from .hmm import HMM
from .mdp import MDP
from .numerics import NotConverged
from .objectives import elbo, expected_return, occupancy, posterior_kl
from .planning import Plan, evaluate_policy, optimistic_value_iteration, soft_value_iteration, value_iteration
from .posterior import Posterior, condition_on_optimality

if TYPE_CHECKING:
    from .actor_critic import soft_actor_critic, soft_policy_iteration
    from .policy_gradient import soft_policy_gradient
    from .q_learning import soft_q_learning
    from .sac import SAC

__version__ = "0.1.0"

__all__ = [
    "HMM",
    "MDP",
    "SAC",
    "BackupExplorer",
    "GridworldExplorer",
    "HMMExplorer",
    "LearningExplorer",
    "LotteryExplorer",
    "NotConverged",
    "Plan",
    "Posterior",
    "backups",
    "check",
    "condition_on_optimality",
    "elbo",
    "evaluate_policy",
    "expected_return",
    "occupancy",
    "optimistic_value_iteration",
    "plotting",
    "posterior_kl",
    "recorded",
    "soft_actor_critic",
    "soft_policy_gradient",
    "soft_policy_iteration",
    "soft_q_learning",
    "soft_value_iteration",
    "value_iteration",
    "worlds",
]

_LATE = {
    "SAC": "sac",
    "soft_actor_critic": "actor_critic",
    "soft_policy_gradient": "policy_gradient",
    "soft_policy_iteration": "actor_critic",
    "soft_q_learning": "q_learning",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)
