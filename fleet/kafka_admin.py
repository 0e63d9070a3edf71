"""What is asked of the brokers before the bus is used: a connection, topics, rights."""

import socket
import ssl
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, Final

from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLOperation,
    ACLPermissionType,
    ConfigResource,
    ConfigResourceType,
    ResourcePattern,
    ResourceType,
)
from kafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoError,
    SaslAuthenticationFailedError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from kafka.net.compat import KafkaNetClient

from fleet.errors import BusError, BusUnavailableError, ConfigurationError
from fleet.kafka_options import KafkaOptions
from fleet.topics import (
    ACKS,
    COMMANDS,
    EVENTS,
    LIVE,
    MAX_MESSAGE_BYTES,
    SCHEMAS,
    TELEMETRY,
    TOPICS,
    Topic,
)

OLDEST_BROKER: Final = (0, 11)
"""The first with idempotent producers, on which "each message once" rests (KIP-98)."""

_ATTEMPTS: Final = 5
"""A broker that has just died is told to clients for seconds still; another one is asked then."""


class Role(StrEnum):
    """Whom a user of the brokers stands for; each may do what its processes need, no more."""

    AGENT = "agent"  # writes what it measured and did, reads what it is told to do
    CONTROLLER = "controller"  # makes the topics, reads what agents say, writes commands and views
    API = "api"  # reads the live views, writes events


_READ: Final = (ACLOperation.READ, ACLOperation.DESCRIBE_CONFIGS)
_WRITE: Final = (ACLOperation.WRITE, ACLOperation.DESCRIBE_CONFIGS)
_ALL: Final = (*_READ, ACLOperation.WRITE, ACLOperation.CREATE)
GRANTS: Final[Mapping[Role, Mapping[Topic, Sequence[ACLOperation]]]] = {
    Role.AGENT: {
        **dict.fromkeys((TELEMETRY, ACKS, EVENTS), _WRITE),
        COMMANDS: _READ,
        # An agent explains its own columns; a document is addressed by its content.
        SCHEMAS: (*_READ, ACLOperation.WRITE),
    },
    Role.CONTROLLER: dict.fromkeys(TOPICS, _ALL),
    Role.API: {LIVE: _READ, EVENTS: _WRITE},
}


def topics_of(role: Role) -> tuple[Topic, ...]:
    """What a process of the role opens."""
    return tuple(GRANTS[role])


def grant(options: KafkaOptions, user: str, role: Role) -> int:
    """Let `user` do what the role needs; how many rights that are. What it had before stays.

    Raises BusError when the brokers keep no rights, or this user may not give any.
    """
    wanted = [
        ACL(
            principal=f"User:{user}",
            host="*",
            operation=operation,
            permission_type=ACLPermissionType.ALLOW,
            resource_pattern=ResourcePattern(ResourceType.TOPIC, topic.name),
        )
        for topic, operations in GRANTS[role].items()
        for operation in operations
    ]
    with connected(options) as admin:
        failed = admin.create_acls(wanted)["failed"]
    if failed:
        raise BusError(
            f"kafka: {user} could not be given the rights of {role}: {failed[0].description}"
        )
    return len(wanted)


def ensure_topics(options: KafkaOptions, topics: Sequence[Topic]) -> None:
    """Make what is missing. Raises ConfigurationError when what is there is laid out otherwise,
    BusError when a topic is missing and this user may not make it.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        with connected(options) as admin:
            try:
                _ensure(admin, topics, options)
            except KafkaConnectionError:
                if attempt == _ATTEMPTS:
                    raise
            else:
                return


def _ensure(admin: Any, topics: Sequence[Topic], options: KafkaOptions) -> None:
    found = {t["name"]: t for t in admin.describe_topics([t.name for t in topics])}
    present = [t for t in topics if _present(found[t.name], options)]
    for topic in topics:
        if topic not in present:
            _create(admin, topic, options)
    _check(present, found, _configs(admin, present), options)


def _present(found: Mapping[str, Any], options: KafkaOptions) -> bool:
    code = found["error_code"]
    if code == TopicAuthorizationFailedError.errno:
        raise BusError(denied(found["name"], options, "see"))
    return bool(code != UnknownTopicOrPartitionError.errno)


def denied(topic: str, options: KafkaOptions, action: str) -> str:
    who = f"user {options.user!r}" if options.user else "who is not logged in"
    return (
        f"kafka: {who} may not {action} topic {topic}; give it the rights of its role "
        "(isotherm grant), or start a controller first to make the topics"
    )


def _create(admin: Any, topic: Topic, options: KafkaOptions) -> None:
    layout = {
        "num_partitions": topic.partitions,
        "replication_factor": options.replication,
        "configs": {
            "cleanup.policy": _policy(topic),
            "retention.ms": str(round(options.kept_s(topic) * 1e3)),
            "max.message.bytes": str(MAX_MESSAGE_BYTES),
            "min.insync.replicas": str(options.min_in_sync),
        },
    }
    answer = admin.create_topics({topic.name: layout}, raise_errors=False)["topics"][0]
    code = answer["error_code"]
    if code == TopicAuthorizationFailedError.errno:
        raise BusError(denied(topic.name, options, "make"))
    # Two processes may create at the same time; the second finds it done.
    if code not in (NoError.errno, TopicAlreadyExistsError.errno):
        raise BusError(f"kafka: topic {topic.name} could not be made: {answer['error_message']}")
    admin.wait_for_topics([topic.name])


def _configs(admin: Any, topics: Sequence[Topic]) -> Mapping[str, Mapping[str, Any]]:
    """Topic -> its settings; none for a topic whose settings this user may not see."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics]
    configs = admin.describe_configs(resources, config_filter="all")
    found: Mapping[str, Mapping[str, Any]] = configs["topic"]
    return found


def _check(
    topics: Iterable[Topic],
    found: Mapping[str, Any],
    configs: Mapping[str, Mapping[str, Any]],
    options: KafkaOptions,
) -> None:
    for topic in topics:
        partitions = found[topic.name]["partitions"]
        replicas = min(len(partition["replica_nodes"]) for partition in partitions)
        how = f"kafka-topics.sh {_of(topic, options)} --alter --partitions {topic.partitions}"
        _wants(topic, "partitions", len(partitions), topic.partitions, how)
        how = (
            f"kafka-reassign-partitions.sh --bootstrap-server {options.bootstrap} with more brokers"
        )
        _wants(topic, "replicas", replicas, options.replication, how)
        config = configs.get(topic.name)
        if config:
            _check_config(topic, config, options)


def _check_config(topic: Topic, config: Mapping[str, Any], options: KafkaOptions) -> None:
    for name, least in (
        ("min.insync.replicas", options.min_in_sync),
        ("max.message.bytes", MAX_MESSAGE_BYTES),
    ):
        found = int(config[name]["value"])
        _wants(topic, name, found, least, _configure(topic, options, f"{name}={least}"))
    policy = config["cleanup.policy"]["value"]
    if policy != _policy(topic):
        how = _configure(topic, options, f"cleanup.policy={_policy(topic)}")
        raise ConfigurationError(
            f"kafka: topic {topic.name} has cleanup.policy {policy}, {_policy(topic)} is "
            f"wanted, else messages are lost that are needed: {how}"
        )


def _wants(topic: Topic, what: str, found: int, least: int, how: str) -> None:
    if found < least:
        raise ConfigurationError(
            f"kafka: topic {topic.name} has {what} {found}, at least {least} is wanted: {how}"
        )


def _of(topic: Topic, options: KafkaOptions) -> str:
    return f"--bootstrap-server {options.bootstrap} --topic {topic.name}"


def _configure(topic: Topic, options: KafkaOptions, setting: str) -> str:
    return (
        f"kafka-configs.sh --bootstrap-server {options.bootstrap} --alter --entity-type topics "
        f"--entity-name {topic.name} --add-config {setting}"
    )


def _policy(topic: Topic) -> str:
    return "compact" if topic.compacted else "delete"


@contextmanager
def connected(options: KafkaOptions) -> Iterator[Any]:
    """A client for administration. Raises BusUnavailableError when no broker answers, and
    ConfigurationError when one does but does not let this process in.
    """
    _reach(options)
    witness = _Witness()
    try:
        admin = KafkaAdminClient(**options.client_settings(), kafka_client=witness.client)
    except (KafkaError, OSError) as error:
        witness.leave()
        _check_version(options, witness.broker_version)
        raise _refusal(options, error, turned_away=witness.turned_away) from error
    try:
        _check_version(options, witness.broker_version)
        yield admin
    except (KafkaError, OSError) as error:
        raise BusUnavailableError(f"kafka at {options.bootstrap}: {error}") from error
    finally:
        admin.close()


class _Witness:
    """Sees what the client meets while it connects, which its own last word does not tell.

    It reaches into the client, for nothing public says these things.
    """

    def __init__(self) -> None:
        self._client: Any = None
        self._manager: Any = None
        self.turned_away = False
        """Whether a broker broke off after it had said its version: that is where it asks who
        it speaks with. Over TLS the client often loses the broker's last word, that says so.
        """

    def client(self, **settings: Any) -> Any:
        self._client = KafkaNetClient(**settings)
        self._manager = self._client._manager  # noqa: SLF001
        connect = self._manager.get_connection

        def watched(*place: Any, **how: Any) -> Any:
            connection = connect(*place, **how)
            connection.init_future.add_errback(self._failed)
            return connection

        self._manager.get_connection = watched
        return self._client

    @property
    def broker_version(self) -> tuple[int, ...] | None:
        version: tuple[int, ...] | None = self._manager.broker_version
        return version

    def _failed(self, error: BaseException) -> None:
        if isinstance(error, SaslAuthenticationFailedError | UnsupportedSaslMechanismError):
            self.turned_away = True
            self._manager.close()  # a second try would be refused as well
        elif isinstance(error, KafkaConnectionError) and self.broker_version is not None:
            self.turned_away = True

    def leave(self) -> None:
        """End what the client leaves behind when it gives up: a thread, and open sockets."""
        self._client.close()


def _refusal(
    options: KafkaOptions, error: BaseException, *, turned_away: bool
) -> ConfigurationError | BusError:
    if options.user and turned_away:
        return ConfigurationError(
            f"kafka at {options.bootstrap} does not let user {options.user!r} in: "
            "wrong name or password"
        )
    hint = "" if options.tls else " (does it want TLS? then set tls = true)"
    return BusUnavailableError(f"no Kafka broker answers at {options.bootstrap}: {error}{hint}")


def _check_version(options: KafkaOptions, version: tuple[int, ...] | None) -> None:
    if version is not None and version < OLDEST_BROKER:
        raise ConfigurationError(
            f"kafka at {options.bootstrap} speaks version {'.'.join(map(str, version))}, at least "
            f"{'.'.join(map(str, OLDEST_BROKER))} is wanted: it has no "
            "idempotent producer (InitProducerId, Produce 3; KIP-98)"
        )


def _reach(options: KafkaOptions) -> None:
    # The client retries a refused connection, or a certificate that it does not trust, until its
    # time is over, and does not say why; a plain connect and handshake tell at once.
    context = options.tls_context()
    trouble = "no address given"
    for server in options.bootstrap.split(","):
        host, _, port = server.rpartition(":")
        try:
            with socket.create_connection((host, int(port)), options.connect_timeout_s) as plain:
                if context is not None:
                    context.wrap_socket(plain, server_hostname=host).close()
        except ssl.SSLCertVerificationError as error:
            raise ConfigurationError(
                f"kafka: the certificate of {server} is not trusted ({error.verify_message}): "
                "set ca_file to the authority that signed it"
            ) from error
        except ssl.SSLError as error:
            raise ConfigurationError(f"kafka: {server} does not speak TLS: {error}") from error
        except OSError as error:
            trouble = str(error)
        else:
            return
    raise BusUnavailableError(f"no Kafka broker answers at {options.bootstrap}: {trouble}")
