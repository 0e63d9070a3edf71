"""Redfish error bodies: DSP0266 section 8.6, messages of the Base registry."""

from typing import Final

import msgspec

from emulator.devices.answer import Answer

_REGISTRY: Final = "Base.1.18"


class RedfishError(Exception):
    """A request that is answered with an error body.

    `message_id` is a name of the Base registry; `text` says what was wrong and what is allowed.
    """

    def __init__(
        self,
        status: int,
        message_id: str,
        text: str,
        *,
        properties: tuple[str, ...] = (),
        allow: tuple[str, ...] = (),
    ) -> None:
        super().__init__(text)
        self.status = status
        self.message_id = message_id
        self.text = text
        self.properties = properties
        self.allow = allow

    def answer(self) -> Answer:
        message_id = f"{_REGISTRY}.{self.message_id}"
        message: dict[str, object] = {
            "@odata.type": "#Message.v1_2_1.Message",
            "MessageId": message_id,
            "Message": self.text,
            "MessageSeverity": "Warning",
        }
        if self.properties:
            message["RelatedProperties"] = [f"#/{name}" for name in self.properties]
        body = {
            "error": {
                "code": message_id,
                "message": self.text,
                "@Message.ExtendedInfo": [message],
            }
        }
        headers = (("Allow", ", ".join(self.allow)),) if self.allow else ()
        return Answer(status=self.status, body=msgspec.json.encode(body), headers=headers)


def no_resource(path: str) -> RedfishError:
    return RedfishError(404, "ResourceMissingAtURI", f"There is no resource at {path}.")


def no_operation(method: str, path: str, allow: tuple[str, ...]) -> RedfishError:
    text = f"{path} does not take {method}; it takes {', '.join(allow)}."
    return RedfishError(405, "OperationNotAllowed", text, allow=allow)


def malformed(detail: str) -> RedfishError:
    return RedfishError(400, "MalformedJSON", f"The request body is not a JSON object: {detail}.")


def unknown_property(name: str, allowed: tuple[str, ...]) -> RedfishError:
    text = f"The property {name} is unknown; writable here: {', '.join(allowed)}."
    return RedfishError(400, "PropertyUnknown", text, properties=(name,))


def read_only(name: str, allowed: tuple[str, ...]) -> RedfishError:
    text = f"The property {name} can not be written; writable here: {', '.join(allowed)}."
    return RedfishError(400, "PropertyNotWritable", text, properties=(name,))


def wrong_type(name: str, value: object, expected: str) -> RedfishError:
    text = f"The value {_shown(value)} of the property {name} is not {expected}."
    return RedfishError(400, "PropertyValueTypeError", text, properties=(name,))


def outside_span(name: str, value: object, span: str) -> RedfishError:
    text = f"The value {_shown(value)} of the property {name} is outside the allowed {span}."
    return RedfishError(400, "PropertyValueOutOfRange", text, properties=(name,))


def not_in_list(name: str, value: object, allowed: tuple[str, ...]) -> RedfishError:
    text = f"The value {_shown(value)} of {name} is not one of: {', '.join(allowed)}."
    return RedfishError(400, "PropertyValueNotInList", text, properties=(name,))


def missing_property(name: str, allowed: tuple[str, ...]) -> RedfishError:
    text = f"The property {name} is required, with one of: {', '.join(allowed)}."
    return RedfishError(400, "PropertyMissing", text, properties=(name,))


def _shown(value: object) -> str:
    text = msgspec.json.encode(value).decode("utf-8", "replace")
    return text if len(text) <= 80 else f"{text[:77]}..."
