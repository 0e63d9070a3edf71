import re

import pytest

from tests.house.tree import PACKAGES, classes, modules

BANNED_IN_CLASSES = {"Manager", "Helper", "Util", "Utils", "Common", "Base", "Misc", "Info"}
BANNED_FILES = {"util", "utils", "helper", "helpers", "manager", "managers", "common", "misc"}


def words(name: str) -> set[str]:
    return set(re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z][a-z0-9]*", name))


@pytest.mark.parametrize(
    ("name", "banned"), [("JobManager", True), ("BaseInput", True), ("Database", False)]
)
def test_words_are_found_inside_names(name: str, banned: bool) -> None:
    assert bool(words(name) & BANNED_IN_CLASSES) is banned


def test_classes_are_named_after_what_they_are() -> None:
    found = [
        f"{module.path}:{node.lineno} {node.name}"
        for module in modules(*PACKAGES, "tests", "tools")
        for node in classes(module)
        if words(node.name) & BANNED_IN_CLASSES
    ]
    assert found == []


def test_files_are_named_after_what_they_hold() -> None:
    found = [
        str(module.path)
        for module in modules(*PACKAGES, "tests", "tools")
        if BANNED_FILES & {part.removesuffix(".py") for part in module.path.parts}
    ]
    assert found == []
