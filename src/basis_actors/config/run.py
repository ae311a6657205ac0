"""Defines everything that one run is configured with, checked as a whole."""

from __future__ import annotations

from pydantic import model_validator

from basis_actors.config.coherence import mode_problems, run_problems
from basis_actors.config.model import Model, refuse
from basis_actors.config.models import ModeConfig, ShareClassConfig
from basis_actors.config.venues import VenueConfig

__all__ = ["RunConfig"]


class RunConfig(Model):
    """A mode with the venues it lists and its share class."""

    mode: ModeConfig
    venues: dict[str, VenueConfig]
    """By name, in the order of `mode.venues`, as they hold in this run."""
    share_class: ShareClassConfig

    @model_validator(mode="after")
    def _check(self) -> RunConfig:
        refuse(mode_problems(self.mode))
        refuse(run_problems(self.mode, self.venues, self.share_class))
        return self
