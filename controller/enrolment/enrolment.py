from enum import StrEnum

import msgspec

from fleet.identity import SledIdentity


class EnrolmentState(StrEnum):
    ENROLLED = "enrolled"  # what stands there is what belongs there
    REFUSED = "refused"  # it is not, or nobody can tell; no work until a person approves


class MismatchKind(StrEnum):
    UNATTESTED = "unattested"  # no card of a trusted root has signed for it
    UNEXPECTED = "unexpected"  # not what the inventory lists for this place
    REPLACED = "replaced"  # another part than the one that was enrolled here
    CLAIMED = "claimed"  # a serial that is enrolled for another place
    FIRMWARE = "firmware"  # a version that is not allowed
    MEASUREMENT = "measurement"  # an allowed version, but not its code
    SECOND_AGENT = "second_agent"  # an agent of an earlier epoch: another one, or its state is lost


class Mismatch(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is wrong; `other` is the other sled that it concerns, if any."""

    kind: MismatchKind
    text: str
    other: str = ""


class Enrolment(msgspec.Struct, frozen=True, kw_only=True):
    """A place, what announced itself there last, and what was enrolled for it, if anything.

    `cause` is the id of the announcement. `approved_by` is the person who said that `enrolled` is
    right; without one it was the inventory, or the first that came. `epoch` is the highest that an
    agent of the sled has announced.
    """

    sled_id: str
    state: EnrolmentState
    announced: SledIdentity
    announced_at_unix_ns: int
    cause: str
    attested: bool
    epoch: int
    enrolled: SledIdentity | None = None
    approved_by: str = ""
    mismatches: tuple[Mismatch, ...] = ()
