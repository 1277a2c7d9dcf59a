"""Training of ControlNets: settings, objective, data order, trainer, convergence meter, run folder."""

from .meter import ConvergenceMeter, Reading, convergence_step
from .objective import Objective
from .settings import TrainingSettings
from .trainer import Trainer

__all__ = [
    "ConvergenceMeter",
    "Objective",
    "Reading",
    "Trainer",
    "TrainingSettings",
    "convergence_step",
]
