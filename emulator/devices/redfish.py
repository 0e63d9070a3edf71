"""A small Redfish service: resources at paths, expansion of collections, PATCH and actions.

Follows DSP0266 as far as BMCs and CDUs need it. Unknown query parameters without `$` are ignored;
`$expand=*($levels=1)`, in the spellings `*`, `.` and with or without levels, expands a collection.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, urlsplit

import msgspec

from emulator.devices import redfish_errors as errors
from emulator.devices.answer import Answer
from emulator.devices.redfish_errors import RedfishError
from emulator.devices.redfish_rules import Rule, Written, check_object, decode_object

ROOT: Final = "/redfish/v1"
ENABLED: Final = {"State": "Enabled", "Health": "OK"}

_EXPAND: Final = re.compile(r"[*.](\(\$levels=(\d{1,6})\))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource. `render` gives its JSON; `write` applies a checked PATCH of `rules`."""

    path: str
    render: Callable[[], bytes]
    rules: Mapping[str, Rule] | None = None
    write: Callable[[Written], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """Target of a POST: one required parameter with a list of values."""

    path: str
    parameter: str
    allowed: tuple[str, ...]
    act: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Target of a POST that answers with a document: one required parameter of a form."""

    path: str
    parameter: str
    pattern: re.Pattern[str]
    answer: Callable[[str], bytes]


class Collection:
    """Members in order; rendered as links, or whole when expanded."""

    def __init__(self, path: str, kind: str, name: str, members: Sequence[Resource]) -> None:
        self.path = path
        self.members = tuple(members)
        head = msgspec.json.encode(
            {
                "@odata.id": path,
                "@odata.type": f"#{kind}Collection.{kind}Collection",
                "Name": name,
                "Members@odata.count": len(self.members),
            }
        )
        self._head = head[:-1] + b',"Members":['
        links = b",".join(msgspec.json.encode(link(member.path)) for member in self.members)
        self._linked = self._head + links + b"]}"

    def render(self, *, expanded: bool) -> bytes:
        if not expanded:
            return self._linked
        return self._head + b",".join([member.render() for member in self.members]) + b"]}"


Node = Resource | Collection | Action | Question


class RedfishService:
    """Answers requests for a fixed set of paths; `resources` of collections are added with them."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes: dict[str, Node] = {}
        for node in nodes:
            self._nodes[node.path] = node
            if isinstance(node, Collection):
                self._nodes.update({member.path: member for member in node.members})

    @property
    def nodes(self) -> tuple[Node, ...]:
        return tuple(self._nodes.values())

    @property
    def paths(self) -> tuple[str, ...]:
        """Of every resource, without action targets."""
        return tuple(
            p for p, node in self._nodes.items() if not isinstance(node, Action | Question)
        )

    def handle(self, method: str, target: str, body: bytes | None = None) -> Answer:
        """Answer to one request; `target` is a path with an optional query. Never raises."""
        try:
            path, expanded = _parsed(target)
            node = self._nodes.get(path)
            if node is None:
                raise errors.no_resource(path)
            return self._operate(method, node, body, expanded=expanded)
        except RedfishError as error:
            return error.answer()

    def request(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        answer = self.handle(method, target, body)
        return answer.status, answer.body

    def _operate(self, method: str, node: Node, body: bytes | None, *, expanded: bool) -> Answer:
        allow = _allowed(node)
        if method not in allow:
            raise errors.no_operation(method, node.path, allow)
        if isinstance(node, Collection):
            return Answer(status=200, body=node.render(expanded=expanded))
        if isinstance(node, Action):
            return _act(node, body)
        if isinstance(node, Question):
            return _answered(node, body)
        if method == "PATCH":
            _patch(node, body)
        return Answer(status=200, body=node.render())


def link(path: str) -> dict[str, str]:
    return {"@odata.id": path}


def static(path: str, kind: str, name: str, properties: Mapping[str, object]) -> Resource:
    """A resource that never changes. `kind` is a type with version: `Chassis.v1_25_0`."""
    body = msgspec.json.encode({**identity(path, kind, name), **properties})
    return Resource(path=path, render=lambda: body)


def identity(path: str, kind: str, name: str) -> dict[str, object]:
    """The properties that every resource has."""
    short = kind.split(".", maxsplit=1)[0]
    return {
        "@odata.id": path,
        "@odata.type": f"#{kind}.{short}",
        "Id": path.rsplit("/", maxsplit=1)[1],
        "Name": name,
    }


def service_root(name: str, uuid: str, links: Mapping[str, str]) -> tuple[Node, ...]:
    """The version document and the service root with links to collections, by property name."""
    versions = msgspec.json.encode({"v1": f"{ROOT}/"})
    properties: dict[str, object] = {
        "RedfishVersion": "1.21.0",
        "UUID": uuid,
        "ProtocolFeaturesSupported": {
            "ExpandQuery": {"ExpandAll": True, "Levels": True, "MaxLevels": 1, "Links": False}
        },
        **{key: link(path) for key, path in links.items()},
    }
    root = {**identity(ROOT, "ServiceRoot.v1_17_0", name), **properties}
    root |= {"@odata.id": f"{ROOT}/", "Id": "RootService"}
    body = msgspec.json.encode(root)
    return (
        Resource(path="/redfish", render=lambda: versions),
        Resource(path=ROOT, render=lambda: body),
    )


def _allowed(node: Node) -> tuple[str, ...]:
    if isinstance(node, Action | Question):
        return ("POST",)
    if isinstance(node, Resource) and node.rules is not None:
        return ("GET", "HEAD", "PATCH")
    return ("GET", "HEAD")


def _patch(node: Resource, body: bytes | None) -> None:
    assert node.rules is not None
    assert node.write is not None
    wanted = decode_object(body)
    written: Written = {}
    try:
        check_object(node.rules, wanted, written)
    except RedfishError as error:
        raise _told_apart(error, node) from None
    node.write(written)


def _told_apart(error: RedfishError, node: Resource) -> RedfishError:
    """An unknown property that the resource does have is a read-only one."""
    if error.message_id != "PropertyUnknown" or node.rules is None:
        return error
    [name] = error.properties
    known = msgspec.json.decode(node.render())
    return errors.read_only(name, tuple(node.rules)) if name in known else error


def _answered(question: Question, body: bytes | None) -> Answer:
    form = f"text of the form {question.pattern.pattern}"
    value = _parameter(question.parameter, body)
    if value is None:
        raise errors.missing_property(question.parameter, (form,))
    if not isinstance(value, str) or not question.pattern.fullmatch(value):
        raise errors.wrong_type(question.parameter, value, form)
    return Answer(status=200, body=question.answer(value))


def _parameter(parameter: str, body: bytes | None) -> object:
    wanted = decode_object(body)
    for name in wanted:
        if name != parameter:
            raise errors.unknown_property(name, (parameter,))
    return wanted.get(parameter)


def _act(action: Action, body: bytes | None) -> Answer:
    value = _parameter(action.parameter, body)
    if value is None:
        raise errors.missing_property(action.parameter, action.allowed)
    if not isinstance(value, str) or value not in action.allowed:
        raise errors.not_in_list(action.parameter, value, action.allowed)
    action.act(value)
    return Answer(status=204)


@lru_cache(maxsize=512)
def _parsed(target: str) -> tuple[str, bool]:
    """Path without a trailing slash, and whether to expand; RedfishError for a bad query."""
    try:
        parts = urlsplit(target)
    except ValueError:
        raise errors.no_resource(target) from None
    expanded = False
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "$expand":
            expanded = _expansion(value)
        elif name.startswith("$"):
            text = f"The query parameter {name} is not supported; $expand is."
            raise RedfishError(501, "QueryNotSupported", text)
    return parts.path.rstrip("/"), expanded


def _expansion(value: str) -> bool:
    match = _EXPAND.fullmatch(value)
    if match is None or int(match[2] or 1) != 1:
        text = f"$expand={value} is outside what is allowed: *($levels=1) or .($levels=1)."
        raise RedfishError(400, "QueryParameterOutOfRange", text)
    return True
