"""Says on the bus which hardware stands in a sled's place: at the start, and when it changes."""

import zlib
from collections import Counter
from typing import Final

import structlog

from agent.inputs.sled_identity import SledIdentityReader
from agent.notices import Notices
from fleet.errors import DeviceError
from fleet.events import EventKind
from fleet.identity import (
    Announcement,
    Attestation,
    SledIdentity,
    announcement_detail,
    nonce_of,
)

_log: Final = structlog.get_logger("isotherm.agent")
_FIRST_WAIT_S: Final = 5.0


class Announcer:
    """Looks about every `every_s`; what could not be read is tried again sooner, then later."""

    def __init__(
        self,
        agent_id: str,
        epoch: int,
        reader: SledIdentityReader,
        notices: Notices,
        counts: Counter[str],
        *,
        every_s: float,
    ) -> None:
        self._agent_id = agent_id
        self._epoch = epoch
        self._reader = reader
        self._notices = notices
        self._counts = counts
        # Agents of one process that look in the same tick would hold it up together.
        self._every_s = every_s * (0.75 + 0.5 * zlib.crc32(agent_id.encode()) / 2**32)
        self._told: SledIdentity | None = None
        self._number = 0
        self._due_s = float("-inf")
        self._wait_s = _FIRST_WAIT_S

    def step(self, now_s: float) -> None:
        """Never raises DeviceError; nearly always does nothing."""
        if now_s < self._due_s:
            return
        try:
            identity = self._reader.read()
        except DeviceError as error:
            self._counts["identity_errors"] += 1
            if self._wait_s == _FIRST_WAIT_S:
                _log.warning("identity unread", agent=self._agent_id, error=str(error))
            self._due_s = now_s + self._wait_s
            self._wait_s = min(2 * self._wait_s, max(self._every_s, _FIRST_WAIT_S))
            return
        self._due_s, self._wait_s = now_s + self._every_s, _FIRST_WAIT_S
        if identity != self._told:
            self._announce(identity)

    def _announce(self, identity: SledIdentity) -> None:
        self._number += 1
        announcement = Announcement(
            epoch=self._epoch,
            number=self._number,
            identity=identity,
            attestation=self._attested(),
        )
        self._notices.tell(
            EventKind.SLED_ANNOUNCED,
            "start" if self._number == 1 else "changed",
            announcement_detail(announcement),
        )
        self._told = identity

    def _attested(self) -> Attestation | None:
        """None from a card that signs nothing: whether that will do is the controller's to say."""
        try:
            return self._reader.attest(nonce_of(self._agent_id, self._epoch, self._number))
        except DeviceError as error:
            self._counts["identity_errors"] += 1
            _log.warning("identity unsigned", agent=self._agent_id, error=str(error))
            return None
