"""Cursors: where a list goes on. Opaque to clients, so that what they hold may change."""

import base64
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from fastapi import Depends, Query, Request, Response

from api.desk import AtDesk
from api.problems import FieldProblem, RefusedRequestError

MAX_CURSOR_LENGTH: Final = 500
_Int = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class RowPosition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Where a list in the order of the fleet goes on."""

    row: _Int


class TimePosition(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The last item that was given of a list that is newest first."""

    at_unix_ns: _Int
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[\x21-\x7e]+$")]


Position = TypeVar("Position", RowPosition, TimePosition)


class _Cursor(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """`query` names the list and its filters: a cursor of one list is nonsense in another."""

    query: str
    position: msgspec.Raw


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """Which part of a list is asked for."""

    request: Request
    response: Response
    limit: int
    cursor: str | None

    def rows(self, rows: range) -> tuple[range, str | None]:
        """The rows of this page, and the cursor of the next."""
        position = self._position(RowPosition)
        first = rows.start if position is None else min(max(position.row, rows.start), rows.stop)
        part = range(first, min(first + self.limit, rows.stop))
        return part, self.next(RowPosition(part.stop)) if part.stop < rows.stop else None

    def after(self) -> tuple[int, str] | None:
        """Time and id of the last item of the page before."""
        position = self._position(TimePosition)
        return None if position is None else (position.at_unix_ns, position.id)

    def next(self, position: RowPosition | TimePosition) -> str:
        """The cursor of what follows; it goes into a Link header too (RFC 8288)."""
        cursor = encode_cursor(self._query, position)
        target = self.request.url.include_query_params(cursor=cursor)
        # Relative, so that it holds behind any proxy.
        self.response.headers["Link"] = f'<{target.path}?{target.query}>; rel="next"'
        return cursor

    def _position(self, kind: type[Position]) -> Position | None:
        return None if self.cursor is None else decode_cursor(self.cursor, self._query, kind)

    @property
    def _query(self) -> str:
        filters = [
            (name, value)
            for name, value in sorted(self.request.query_params.items())
            if name not in {"limit", "cursor"}
        ]
        return f"{self.request.url.path}?{urlencode(filters)}"


def paging(
    desk: AtDesk,
    request: Request,
    response: Response,
    limit: Annotated[int | None, Query(ge=1, le=1000, description="at most so many items")] = None,
    cursor: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=MAX_CURSOR_LENGTH,
            description="`next_cursor` of the page before, with the same filters",
        ),
    ] = None,
) -> Paging:
    wanted = desk.options.page_limit if limit is None else limit
    return Paging(
        request=request,
        response=response,
        limit=min(wanted, desk.options.max_page_limit),
        cursor=cursor,
    )


Paged = Annotated[Paging, Depends(paging)]


def encode_cursor(query: str, position: RowPosition | TimePosition) -> str:
    packed = msgspec.msgpack.encode(_Cursor(query, msgspec.Raw(msgspec.msgpack.encode(position))))
    return base64.urlsafe_b64encode(packed).rstrip(b"=").decode()


def decode_cursor(text: str, query: str, kind: type[Position]) -> Position:
    """The position that was encoded; RefusedRequestError (422) for a cursor of anything else."""
    try:
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        cursor = msgspec.msgpack.decode(packed, type=_Cursor)
        position = msgspec.msgpack.decode(cursor.position, type=kind)
    except (ValueError, msgspec.DecodeError) as error:
        raise _refused("is not a cursor of this server") from error
    if cursor.query != query:
        raise _refused("belongs to another list, or to other filters")
    return position


def _refused(detail: str) -> RefusedRequestError:
    return RefusedRequestError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"query #/cursor: {detail}; start again without a cursor",
        kind="invalid-request",
        errors=[FieldProblem(location="query", pointer="#/cursor", detail=detail)],
    )
