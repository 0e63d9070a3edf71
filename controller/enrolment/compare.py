"""The enrolment of a place after an announcement: what was trusted, what came, what is wrong."""

from collections.abc import Mapping, Sequence
from typing import Final

from controller.enrolment.enrolment import Enrolment, EnrolmentState, Mismatch, MismatchKind
from controller.enrolment.settings import EnrolmentSettings
from fleet.identity import Announcement, FirmwareWord, SledIdentity

_NAMED_PARTS: Final = 2


def enrol(
    sled_id: str,
    announcement: Announcement,
    *,
    before: Enrolment | None,
    holders: Mapping[str, str],
    doubt: str | None,
    settings: EnrolmentSettings,
    cause: str,
    at_unix_ns: int,
) -> Enrolment:
    """`holders` says for which sled a serial is enrolled. `doubt` is why the signature is not
    believed: empty when it is, None when it was not asked for.
    """
    identity, epoch = announcement.identity, announcement.epoch
    trusted = None if before is None else before.enrolled
    approved_by = "" if before is None else before.approved_by
    if trusted is not None and _newly_listed(sled_id, identity, trusted, settings.inventory):
        trusted, approved_by = None, ""
    wrong = [] if not doubt else [Mismatch(kind=MismatchKind.UNATTESTED, text=doubt)]
    if before is not None and epoch < before.epoch:
        wrong.append(_second_agent(epoch, before.epoch))
        epoch = before.epoch
    wrong += _claims(sled_id, identity, holders)
    if not approved_by:
        wrong += _not_listed(sled_id, identity, settings.inventory)
    if trusted is not None:
        wrong += _replacements(trusted, identity)
    for component, word in identity.firmware.items():
        known = None if trusted is None else trusted.firmware.get(component)
        if known != word or not approved_by:
            wrong += _firmware(component, word, known, settings.firmware.get(component))
    right = not wrong
    return Enrolment(
        sled_id=sled_id,
        state=EnrolmentState.ENROLLED if right else EnrolmentState.REFUSED,
        announced=identity,
        announced_at_unix_ns=at_unix_ns,
        cause=cause,
        attested=doubt == "",
        epoch=epoch,
        enrolled=identity if right else trusted,
        approved_by=approved_by,
        mismatches=tuple(wrong),
    )


def approved(enrolment: Enrolment, *, actor: str) -> Enrolment:
    """What stands there now is right: a person says so."""
    return Enrolment(
        sled_id=enrolment.sled_id,
        state=EnrolmentState.ENROLLED,
        announced=enrolment.announced,
        announced_at_unix_ns=enrolment.announced_at_unix_ns,
        cause=enrolment.cause,
        attested=enrolment.attested,
        # Whose agent lost its state counts from the beginning.
        epoch=0,
        enrolled=enrolment.announced,
        approved_by=actor,
    )


def _second_agent(epoch: int, before: int) -> Mismatch:
    text = (
        f"an agent in epoch {epoch} announces it after one in epoch {before}: another agent"
        " speaks in its name, or the agent's state was lost"
    )
    return Mismatch(kind=MismatchKind.SECOND_AGENT, text=text)


def _claims(sled_id: str, identity: SledIdentity, holders: Mapping[str, str]) -> list[Mismatch]:
    """One for each other sled, however many of its parts are here."""
    parts: dict[str, list[str]] = {}
    for part, serial in identity.serials.items():
        holder = holders.get(serial, sled_id)
        if holder != sled_id:
            parts.setdefault(holder, []).append(f"{part} {serial}")
    return [
        Mismatch(
            kind=MismatchKind.CLAIMED,
            text=f"it claims what is enrolled for {holder}: {_short(claimed)}",
            other=holder,
        )
        for holder, claimed in parts.items()
    ]


def _replacements(trusted: SledIdentity, identity: SledIdentity) -> list[Mismatch]:
    was, now = trusted.serials, identity.serials
    # A chip that does not tell its serial for once is not another chip.
    changed = [
        f"{part} {was.get(part, 'none')} is now {now.get(part, 'none')}"
        for part in {**was, **now}
        if was.get(part) != now.get(part) and not _silent(part, identity)
    ]
    if trusted.part_number != identity.part_number:
        changed.append(f"part number {trusted.part_number} is now {identity.part_number}")
    if not changed:
        return []
    return [Mismatch(kind=MismatchKind.REPLACED, text=_short(changed))]


def _short(parts: Sequence[str]) -> str:
    """One says what happened: a whole board has six parts and more."""
    if len(parts) <= _NAMED_PARTS:
        return ", ".join(parts)
    return f"{parts[0]}, and {len(parts) - 1} other parts"


def _newly_listed(
    sled_id: str,
    identity: SledIdentity,
    trusted: SledIdentity,
    inventory: Mapping[str, str] | None,
) -> bool:
    """The inventory was changed, and what it lists now is there."""
    listed = (inventory or {}).get(sled_id)
    return listed == identity.serial != trusted.serial


def _silent(part: str, identity: SledIdentity) -> bool:
    name, _, place = part.partition(" ")
    told = identity.chip_serials
    return name == "chip" and int(place) < len(told) and not told[int(place)]


def _not_listed(
    sled_id: str, identity: SledIdentity, inventory: Mapping[str, str] | None
) -> list[Mismatch]:
    if inventory is None:
        return []
    listed = inventory.get(sled_id)
    if listed is None:
        text = f"the inventory lists no sled for this place, where {identity.serial} stands"
    elif listed != identity.serial:
        text = f"the inventory lists {listed} where {identity.serial} stands"
    else:
        return []
    return [Mismatch(kind=MismatchKind.UNEXPECTED, text=text)]


def _firmware(
    component: str,
    word: FirmwareWord,
    known: FirmwareWord | None,
    allowed: Mapping[str, str] | None,
) -> list[Mismatch]:
    if allowed is None:
        if known is None:
            return []
        allowed = {known.version: known.sha384}
    if word.version not in allowed:
        text = f"{component} firmware {word.version}, allowed: {', '.join(sorted(allowed))}"
        return [Mismatch(kind=MismatchKind.FIRMWARE, text=text)]
    digest = allowed[word.version]
    if digest and digest != word.sha384:
        text = f"{component} firmware {word.version} measures {word.sha384[:16]}, not {digest[:16]}"
        return [Mismatch(kind=MismatchKind.MEASUREMENT, text=text)]
    return []
