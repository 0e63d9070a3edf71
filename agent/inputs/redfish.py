"""Collections of a Redfish service, expanded in one request where the service can do that."""

from typing import Final

from agent.inputs.lenient import JsonObject, objects, text
from agent.transport import NoAnswerError, Transport, get_json
from fleet.errors import DeviceError

EXPAND: Final = "?$expand=*($levels=1)"
ROOT: Final = "/redfish/"
_MAX_MEMBERS: Final = 256
# A member with nothing but its place was not expanded.
_LINK: Final = "@odata.id"
_ABSENT: Final = ("Absent", "Disabled", "UnavailableOffline")


class Collection:
    """Members of one collection; read one by one where `$expand` is refused or ignored."""

    def __init__(self, transport: Transport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._expands = True

    def read(self) -> tuple[list[JsonObject], list[DeviceError]]:
        """The members that could be read, and what went wrong with others.

        DeviceError when the collection itself could not be read.
        """
        members = objects(self._document().get("Members"))[:_MAX_MEMBERS]
        found: list[JsonObject] = []
        errors: list[DeviceError] = []
        for member in members:
            try:
                found.append(self._member(member))
            except NoAnswerError:
                raise
            except DeviceError as error:
                errors.append(error)
        return found, errors

    def _document(self) -> JsonObject:
        if self._expands:
            try:
                return get_json(self._transport, self._path + EXPAND)
            except NoAnswerError:
                raise
            except DeviceError:
                plain = get_json(self._transport, self._path)
                # The collection is there, so it was the query that was not understood.
                self._expands = False
                return plain
        return get_json(self._transport, self._path)

    def _member(self, member: JsonObject) -> JsonObject:
        if len(member) > 1 or _LINK not in member:
            return member
        link = text(member.get(_LINK))
        if not link.startswith(ROOT):
            raise DeviceError(f"{self._path}: a member without a link of this service")
        return get_json(self._transport, link)


def present(resource: JsonObject) -> bool:
    """Whether a sensor says that it is in place and enabled, or says nothing about it."""
    status = resource.get("Status")
    return not (isinstance(status, dict) and status.get("State") in _ABSENT)
