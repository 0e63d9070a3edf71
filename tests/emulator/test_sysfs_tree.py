from pathlib import Path

import pytest

from emulator.sysfs_tree import SysfsTree
from fleet.errors import ConfigurationError


def texts(directory: Path) -> dict[str, str]:
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


def test_files_follow_and_what_is_gone_is_removed(tmp_path: Path) -> None:
    tree = SysfsTree(tmp_path)
    tree.write({"neuron0/a": "1\n", "neuron0/b": "2\n"})
    assert texts(tmp_path) == {"neuron0/a": "1\n", "neuron0/b": "2\n"}
    kept = (tmp_path / "neuron0/a").stat().st_ino
    tree.write({"neuron0/a": "1\n"})
    assert texts(tmp_path) == {"neuron0/a": "1\n"}
    assert (tmp_path / "neuron0/a").stat().st_ino == kept


def test_a_reader_keeps_the_text_that_it_opened(tmp_path: Path) -> None:
    tree = SysfsTree(tmp_path)
    tree.write({"a": "old\n"})
    with (tmp_path / "a").open() as reader:
        tree.write({"a": "new\n"})
        assert reader.read() == "old\n"


@pytest.mark.parametrize("path", ["../a", "/etc/a", "b/../../a"])
def test_nothing_is_written_outside(tmp_path: Path, path: str) -> None:
    with pytest.raises(ConfigurationError, match="leads out of it"):
        SysfsTree(tmp_path / "tree").write({path: "x"})


def test_a_folder_that_can_not_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(ConfigurationError, match="sysfs tree"):
        SysfsTree(tmp_path / "taken").write({"a": "x"})
