"""Every word of the domain that is a class is in docs/glossary.md, and nothing there is made up."""

import ast
import re

from tests.house.tree import ROOT, classes, modules

SPOKEN = ("agent", "api", "controller", "emulator", "fleet", "thermal")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
TERMS_PART, _, CARRIERS_PART = GLOSSARY.partition("## Carriers")

# The words of the trade: with or without a class of that name, each has its line.
VOCABULARY = re.findall(
    r"\w+",
    """
    Datacenter CoolingLoop Cdu Manifold ColdPlate Pump Valve UltraServer Rack Sled Chip NeuronCore
    FabricTier Setpoint Request Interlock Trip Failsafe Mode Lease Term Job Gang Placement Plan
    Reason Preemption Cordon Drain Maintenance Qualification Finding Incident Notification
    """,
)
SETTING = re.compile(r"(Settings|Options|Limits|Error)$")
VALUE_BASES = {"StrEnum", "IntEnum", "NamedTuple", "Struct"}


def is_value(node: ast.ClassDef) -> bool:
    """A frozen dataclass, an enumeration or a wire struct: data that people talk about."""
    bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    frozen = any("frozen=True" in ast.unparse(decorator) for decorator in node.decorator_list)
    return frozen or bool(bases & VALUE_BASES)


def values() -> set[str]:
    """Names of the public values, without settings: those are named after what they set."""
    return {
        node.name
        for module in modules(*SPOKEN)
        for node in classes(module)
        if is_value(node) and not node.name.startswith("_") and not SETTING.search(node.name)
    }


def terms() -> list[str]:
    return re.findall(r"^- \*\*`?(\w+)`?\*\*: \S", TERMS_PART, re.MULTILINE)


def carriers() -> list[str]:
    return re.findall(r"`(\w+)`", CARRIERS_PART)


def test_every_value_is_a_term_or_a_carrier() -> None:
    assert values() - set(terms()) - set(carriers()) == set()


def test_each_name_has_one_home() -> None:
    named = [*terms(), *carriers()]
    assert sorted({name for name in named if named.count(name) > 1}) == []


def test_the_vocabulary_is_complete() -> None:
    assert set(VOCABULARY) - set(terms()) == set()


def test_terms_in_code_letters_are_classes() -> None:
    existing = {node.name for module in modules(*SPOKEN) for node in classes(module)}
    claimed = re.findall(r"^- \*\*`(\w+)`\*\*:", TERMS_PART, re.MULTILINE)
    assert set(claimed) - existing == set()


def test_carriers_are_values_that_exist() -> None:
    assert set(carriers()) - values() == set()


def test_a_term_takes_one_line() -> None:
    lines = [line for line in TERMS_PART.splitlines() if line.strip()]
    assert [line for line in lines[2:] if not re.match(r"- \*\*|## |[A-Z]", line)] == []
