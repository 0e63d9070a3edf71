"""A sysfs tree as ordinary files, each replaced whole when its text changes."""

import os
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from fleet.errors import ConfigurationError


class SysfsTree:
    """Files below `directory`; a reader sees an old or a new text, never a half."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._written: dict[str, str] = {}

    def write(self, files: Mapping[str, str]) -> None:
        """What is no longer there is removed. ConfigurationError when it can not be written."""
        try:
            for path, text in files.items():
                if self._written.get(path) != text:
                    self._replace(self._place(path), text)
            for path in self._written.keys() - files.keys():
                self._place(path).unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(f"sysfs tree {self._directory}: {error.strerror}") from error
        self._written = dict(files)

    def _place(self, path: str) -> Path:
        pure = PurePosixPath(path)
        if pure.is_absolute() or ".." in pure.parts:
            raise ConfigurationError(f"sysfs tree {self._directory}: {path} leads out of it")
        return self._directory / pure

    def _replace(self, place: Path, text: str) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        pending = place.with_name(f".{place.name}.part")
        pending.write_text(text)
        os.replace(pending, place)
