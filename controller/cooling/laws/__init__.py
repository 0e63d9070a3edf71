"""The laws that can move a loop, by name; each is a module of three pure functions."""

from collections.abc import Mapping
from typing import Final

from controller.cooling.laws import bmc, feedforward, mpc, pi
from controller.cooling.laws.law import Law, LawName
from controller.cooling.settings import CoolingSettings

LAWS: Final[Mapping[LawName, Law]] = {
    LawName.PI: pi,
    LawName.BMC: bmc,
    LawName.FEEDFORWARD: feedforward,
    LawName.MPC: mpc,
}


def chosen(settings: CoolingSettings) -> Law:
    """The law that the settings name."""
    return LAWS[settings.law]
