"""Every error that crosses a package border.

IsothermError
├── ConfigurationError      a setting that can not be used; the process exits with code 2
├── MalformedMessageError   bytes that are not what they claim; counted, never guessed at
│   └── UnknownSchemaError  a well-formed frame whose schema document has not been seen yet
├── UnknownIdError          no such chip, sled, loop, job, incident ...
├── BusError                the message bus refused or lost the call; retry is sensible
│   └── BusUnavailableError no broker answers
├── DeviceError             a device did not answer, or not in its documented form
├── StoreError              the database is not there, or refused
│   └── LeaseLostError      somebody else may act now; nothing of the transaction was written
└── CommandRefusedError     a command that must not be executed: stale term, expired, outside limits
"""


class IsothermError(Exception):
    """Root of the tree above: one clear line that says what happened, where, and what to do."""

    retryable = False


class ConfigurationError(IsothermError):
    """A setting can not be used."""


class MalformedMessageError(IsothermError):
    """Bytes are not what they claim to be."""


class UnknownSchemaError(MalformedMessageError):
    """A frame names a schema whose document has not been seen."""

    retryable = True

    def __init__(self, schema_id: str) -> None:
        super().__init__(f"unknown schema {schema_id}: its document has not arrived")
        self.schema_id = schema_id


class UnknownIdError(IsothermError):
    """Nothing in the fleet has this id."""

    def __init__(self, kind: str, wanted: str) -> None:
        super().__init__(f"unknown {kind} {wanted!r}")
        self.kind = kind
        self.wanted = wanted


class BusError(IsothermError):
    """The message bus refused or lost a call."""

    retryable = True


class BusUnavailableError(BusError):
    """No broker answers."""


class DeviceError(IsothermError):
    """A device did not answer, or not in its documented form."""

    retryable = True


class StoreError(IsothermError):
    """The database is not there, or refused."""

    retryable = True


class LeaseLostError(StoreError):
    """Somebody else may act by now: what was to be written is not."""

    retryable = False


class CommandRefusedError(IsothermError):
    """A command must not be executed."""
