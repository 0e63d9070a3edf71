"""The plant of a scenario, where it is not as the files of its parts describe."""

from collections.abc import Iterator

from emulator.plant_parts import CHANGEABLE, PlantChange, PlantFigure, PlantParts, figures
from emulator.scenario.section import Section
from thermal.facility import HeatRejection


def read_plant(section: Section) -> tuple[HeatRejection, PlantParts]:
    """What cools the facility water, and the parts with what the section changes."""
    rejection = section.choice("rejection", HeatRejection, HeatRejection.TOWER)
    changes = []
    for part in CHANGEABLE:
        inner = section.section(part)
        found = list(_changes(inner, part))
        inner.end()
        if found and part in list(HeatRejection) and part != rejection:
            words = f"the hall has a {rejection}; say rejection: {part}, or change {rejection}"
            raise section.error(part, words)
        changes += found
    section.end()
    return rejection, PlantParts(changes=tuple(changes))


def _changes(section: Section, part: str) -> Iterator[PlantChange]:
    sections: dict[str, Section] = {}
    for path, figure in figures(part).items():
        above, _, name = path.rpartition(".")
        if above not in sections:
            sections[above] = _at(section, above)
        value = _value(sections[above], name, figure)
        if value is not None:
            yield PlantChange(part=part, figure=path, value=value)
    for above, inner in sections.items():
        if above:
            inner.end()


def _at(section: Section, above: str) -> Section:
    for name in above.split(".") if above else ():
        section = section.section(name)
    return section


def _value(section: Section, name: str, figure: PlantFigure) -> float | None:
    if not figure.whole:
        return section.number_or_none(name, figure.low, figure.high, figure.unit)
    if name in section:
        return section.count(name, round(figure.low), round(figure.high))
    section.number_or_none(name, figure.low, figure.high, figure.unit)
    return None
