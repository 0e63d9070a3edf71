"""How to reach the brokers, from a file and the environment; no secret is on a command line."""

import difflib
import os
import ssl
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

import msgspec

from fleet.errors import ConfigurationError
from fleet.topics import LOOP_PARTITIONS, TOPICS, Topic

FILE_VARIABLE: Final = "ISOTHERM_KAFKA_CONFIG"
"""Names a TOML file with the fields of `KafkaOptions`."""
PASSWORD_VARIABLE: Final = "ISOTHERM_KAFKA_PASSWORD"
_PER_PROCESS: Final = {"bootstrap", "password"}
_PATHS: Final = ("ca_file", "certificate_file", "key_file")
MOST_PARTITIONS: Final = 10_000
"""Far above what shares of loops ask for; a slip of the pen is found."""
_MECHANISM: Final = "SCRAM-SHA-512"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaOptions:
    """`bootstrap` is `HOST:PORT[,HOST:PORT...]`; what concerns topics holds when they are made,
    and is what existing ones are checked for.
    """

    bootstrap: str
    replication: int = 1
    partitions: int = LOOP_PARTITIONS
    """Of each topic that is keyed by cooling loop; the same in every process."""
    min_in_sync: int = 1
    """A message counts as written when so many replicas have it (acks=all)."""
    retention_s: Mapping[str, float] = field(default_factory=dict)
    """Topic -> how long messages are kept, where that differs from `fleet.topics`."""
    user: str = ""
    """Logs in by SASL/SCRAM-SHA-512 when given, and needs `tls`."""
    password: str = field(default="", repr=False)
    password_file: str = ""
    tls: bool = False
    ca_file: str = ""
    """Who signs the brokers' certificates; the system's authorities when empty."""
    certificate_file: str = ""
    key_file: str = ""
    """With `certificate_file`, what this process shows to brokers that ask for it."""
    broker_version: str = ""
    """Such as "3.9", for brokers that do not say it themselves in a form that the client knows."""
    connect_timeout_s: float = 10.0
    delivery_timeout_s: float = 30.0
    linger_s: float = 0.005
    reconnect_s: float = 1.0
    """A broker that does not answer is tried again so often at the slowest. kafka-python would let
    it grow to 30 s: so long commands and telemetry would stand still after an outage is over.
    """
    fetch_wait_s: float = 0.1
    """How long a broker may hold its answer to a reader for which there is nothing: what is
    published ends the wait, while another choice of partitions waits for it. Longer costs less.
    """

    def validate(self) -> None:
        """Raises ConfigurationError naming the setting that can not be used."""
        for server in self.bootstrap.split(","):
            host, colon, port = server.rpartition(":")
            if not (colon and host and port.isdigit() and 0 < int(port) < 65536):
                raise ConfigurationError(f"kafka: {server!r} is not HOST:PORT")
        self._check_topics()
        self._check_log_in()
        for name in ("connect_timeout_s", "delivery_timeout_s", "reconnect_s", "fetch_wait_s"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"kafka: {name} is not above 0")
        self.version()

    def _check_topics(self) -> None:
        if not 1 <= self.partitions <= MOST_PARTITIONS:
            raise ConfigurationError(
                f"kafka: partitions {self.partitions} is not in 1..{MOST_PARTITIONS}"
            )
        if self.replication < 1:
            raise ConfigurationError(f"kafka: replication {self.replication} is below 1")
        if not 1 <= self.min_in_sync <= self.replication:
            raise ConfigurationError(
                f"kafka: min_in_sync {self.min_in_sync} is not in 1..{self.replication}, "
                "the replication"
            )
        names = [topic.name for topic in TOPICS]
        for name, kept_s in self.retention_s.items():
            if name not in names:
                raise ConfigurationError(
                    f"kafka: retention_s: there is no topic {name!r}; there are {', '.join(names)}"
                )
            if kept_s <= 0:
                raise ConfigurationError(f"kafka: retention_s of {name} is not above 0")

    def _check_log_in(self) -> None:
        if self.user and not self.tls:
            raise ConfigurationError("kafka: a user logs in over TLS only: set tls = true")
        if self.user and not self.password:
            raise ConfigurationError(
                f"kafka: user {self.user!r} has no password: set password_file or "
                f"{PASSWORD_VARIABLE}"
            )
        if not self.tls and (self.ca_file or self.certificate_file):
            raise ConfigurationError("kafka: certificates are for TLS: set tls = true")
        if bool(self.certificate_file) != bool(self.key_file):
            raise ConfigurationError("kafka: certificate_file and key_file belong together")

    def kept_s(self, topic: Topic) -> float:
        return self.retention_s.get(topic.name, topic.retention_s)

    def version(self) -> tuple[int, ...] | None:
        """`broker_version` as numbers; None when the broker says it."""
        if not self.broker_version:
            return None
        parts = self.broker_version.split(".")
        if len(parts) < 2 or not all(part.isdigit() for part in parts):
            raise ConfigurationError(
                f"kafka: broker_version {self.broker_version!r} is not like 3.9"
            )
        return tuple(int(part) for part in parts)

    def tls_context(self) -> ssl.SSLContext | None:
        """Raises ConfigurationError when a certificate can not be read; None without TLS."""
        if not self.tls:
            return None
        try:
            context = ssl.create_default_context(cafile=self.ca_file or None)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            if self.certificate_file:
                context.load_cert_chain(self.certificate_file, self.key_file)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(filter(None, (self.ca_file, self.certificate_file, self.key_file)))
            raise ConfigurationError(f"kafka: certificates of {files}: {error}") from error
        return context

    def client_settings(self) -> dict[str, Any]:
        """What every client of kafka-python is given."""
        settings: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap.split(","),
            "bootstrap_timeout_ms": round(self.connect_timeout_s * 1e3),
            "reconnect_backoff_max_ms": round(self.reconnect_s * 1e3),
            "api_version": self.version(),
            "security_protocol": "SSL" if self.tls else "PLAINTEXT",
            "ssl_context": self.tls_context(),
        }
        if self.user:
            settings |= {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": _MECHANISM,
                "sasl_plain_username": self.user,
                "sasl_plain_password": self.password,
            }
        return settings


def read_kafka_options(
    bootstrap: str, environment: Mapping[str, str] = os.environ, **given: Any
) -> KafkaOptions:
    """Options of this process, checked: the file that the environment names, the password of the
    environment, and what the caller has `given`, which wins. Raises ConfigurationError.
    """
    document = _read(environment.get(FILE_VARIABLE, ""))
    password = environment.get(PASSWORD_VARIABLE, "")
    if not password and document.get("password_file"):
        password = _first_line(Path(document["password_file"]))
    options = KafkaOptions(bootstrap=bootstrap, password=password, **(document | given))
    options.validate()
    return options


def _read(name: str) -> dict[str, Any]:
    if not name:
        return {}
    path = Path(name)
    where = f"kafka: {path} ({FILE_VARIABLE})"
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{where}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{where}: {error}") from error
    known = {f.name: f.type for f in fields(KafkaOptions) if f.name not in _PER_PROCESS}
    for key in document:
        if key not in known:
            close = difflib.get_close_matches(key, known, 1)
            hint = f", did you mean {close[0]}" if close else ""
            raise ConfigurationError(f"{where}: there is no setting {key!r}{hint}")
    for key, value in document.items():
        try:
            document[key] = msgspec.convert(value, known[key])
        except msgspec.ValidationError as error:
            raise ConfigurationError(f"{where}: {key}: {error}") from error
    for key in (*_PATHS, "password_file"):
        if document.get(key):
            # Files beside the settings are named without their folder.
            document[key] = str(path.parent / document[key])
    return document


def _first_line(path: Path) -> str:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"kafka: password_file {path}: {error}") from error
    if not lines or not lines[0]:
        raise ConfigurationError(f"kafka: password_file {path} is empty")
    return lines[0]
