"""The little that an agent must not forget: its epoch, the highest term, a latched guard."""

from pathlib import Path
from urllib.parse import quote

import msgspec

from agent.guard import GuardLevel, TripReason
from fleet.errors import ConfigurationError
from fleet.segment import write_synced


class _Remembered(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    agent: str
    epoch: int = 0
    term: int = 0
    guard_level: GuardLevel = GuardLevel.NONE
    guard_reason: TripReason | None = None


class AgentMemory:
    """One file an agent, replaced atomically and synced before the change counts.

    Opening it starts a new epoch, so that (agent, epoch, seq) never names two frames.
    """

    def __init__(self, directory: Path, agent_id: str) -> None:
        self._path = directory / f"{quote(agent_id, safe='')}.json"
        try:
            directory.mkdir(parents=True, exist_ok=True)
            kept = self._load(agent_id)
            self._now = msgspec.structs.replace(kept, epoch=kept.epoch + 1)
            self._save()
        except OSError as error:
            raise ConfigurationError(
                f"state of {agent_id} can not be kept in {directory}: {error.strerror}"
            ) from error

    @property
    def epoch(self) -> int:
        return self._now.epoch

    @property
    def term(self) -> int:
        """The highest term that any command has carried."""
        return self._now.term

    @property
    def guard(self) -> tuple[GuardLevel, TripReason | None]:
        return self._now.guard_level, self._now.guard_reason

    def raise_term(self, term: int) -> None:
        """OSError when it could not be written; the term then does not count."""
        if term > self._now.term:
            self._replace(msgspec.structs.replace(self._now, term=term))

    def keep_guard(self, level: GuardLevel, reason: TripReason | None) -> None:
        if (level, reason) != self.guard:
            self._replace(
                msgspec.structs.replace(self._now, guard_level=level, guard_reason=reason)
            )

    def _load(self, agent_id: str) -> _Remembered:
        if not self._path.exists():
            return _Remembered(agent=agent_id)
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Remembered)
        except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            # A guessed epoch could repeat one, and frames would be taken for duplicates.
            raise ConfigurationError(
                f"state file {self._path} is damaged ({error}): restore it, or move it away and "
                "let the agent take another id"
            ) from error
        if kept.agent != agent_id:
            raise ConfigurationError(
                f"state file {self._path} is of {kept.agent!r}, not {agent_id!r}"
            )
        return kept

    def _replace(self, wanted: _Remembered) -> None:
        before, self._now = self._now, wanted
        try:
            self._save()
        except OSError:
            self._now = before
            raise

    def _save(self) -> None:
        write_synced(self._path, msgspec.json.encode(self._now))
