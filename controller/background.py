"""Work that nobody waits for, not even the end of the process."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def begin(name: str, work: Callable[[], T]) -> Future[T]:
    """Does `work` once in a daemon thread of that name; what it raises is raised again by the
    future's `result`.
    """
    result = Future[T]()
    threading.Thread(target=settle, args=(result, work), name=name, daemon=True).start()
    return result


def settle(result: Future[T], work: Callable[[], T]) -> None:
    """Does `work` here and now."""
    try:
        result.set_result(work())
    except BaseException as error:  # noqa: BLE001 - raised again where it is collected
        result.set_exception(error)
