"""Several requests to one device, where what one of them fails takes nothing from the others."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from agent.inputs.base import Key, Samples
from agent.transport import NoAnswerError
from fleet.errors import DeviceError

_FIRST_WAIT_S: Final = 1.0
_LONGEST_WAIT_S: Final = 4.0


@dataclass(slots=True)
class Gathered:
    """What the requests of one tick have brought so far."""

    values: dict[Key, float] = field(default_factory=dict)
    counters: dict[Key, int] = field(default_factory=dict)
    errors: list[DeviceError] = field(default_factory=list)


Request = Callable[[Gathered], None]


class Attempts:
    """Runs the requests of a tick; a device that does not answer is left alone for 1, 2, 4 s.

    So one dead device costs its neighbours in the same process little time.
    """

    def __init__(self) -> None:
        self._wait_s = 0.0
        self._again_s = 0.0
        self._silence = ""

    def run(self, now_s: float, requests: Iterable[Request]) -> Samples:
        if now_s < self._again_s:
            return Samples(errors=(NoAnswerError(self._silence),))
        gathered = Gathered()
        try:
            for request in requests:
                _keep_going(request, gathered)
        except NoAnswerError as error:
            gathered.errors.append(error)
            self._leave_alone(str(error), now_s)
        else:
            self._wait_s = 0.0
        return Samples(
            values=gathered.values, counters=gathered.counters, errors=tuple(gathered.errors)
        )

    def _leave_alone(self, silence: str, now_s: float) -> None:
        self._silence = silence
        self._wait_s = min(max(2 * self._wait_s, _FIRST_WAIT_S), _LONGEST_WAIT_S)
        self._again_s = now_s + self._wait_s


def _keep_going(request: Request, gathered: Gathered) -> None:
    try:
        request(gathered)
    except NoAnswerError:
        raise
    except DeviceError as error:
        gathered.errors.append(error)
