"""An Apache Kafka broker that lets in only who it knows, over TLS, and only to what is granted."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from isotherm.servers.components import MissingComponentError
from isotherm.servers.kafka_classes import shared_classes
from isotherm.servers.kafka_node import INTERNAL_TOPICS, KafkaNode
from isotherm.servers.processes import StartError, free_ports

CERTIFICATE_DAYS: Final = "2"
SUPERUSER: Final = "admin"
PROPERTIES: Final = """\
process.roles=broker,controller
node.id=1
listeners=SASL_SSL://127.0.0.1:{port},INSIDE://127.0.0.1:{inside},CONTROLLER://127.0.0.1:{quorum}
advertised.listeners=SASL_SSL://127.0.0.1:{port},INSIDE://127.0.0.1:{inside}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,INSIDE:PLAINTEXT,SASL_SSL:SASL_SSL
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{quorum}
inter.broker.listener.name=INSIDE
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:{superuser};User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=\
org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
"""
"""The broker talks to itself without a name over loopback (ANONYMOUS); clients can not."""


class SecuredKafkaBroker:
    """SASL/SCRAM-SHA-512 over TLS with ACLs; `users` is name -> password, "admin" may do all."""

    def __init__(self, users: Mapping[str, str]) -> None:
        self._users = users
        self._root = Path(tempfile.mkdtemp(prefix="isotherm-kafka-secured-"))
        self._node: KafkaNode | None = None
        self._port = 0
        self.ca_file = self._root / "ca.pem"
        self.stranger_ca_file = self._root / "stranger.pem"
        """Of an authority that has not signed the broker's certificate."""

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> Self:
        try:
            keystore = self._certificates()
            self._port, inside, quorum = free_ports(3)
            properties = PROPERTIES.format(
                port=self._port,
                inside=inside,
                quorum=quorum,
                superuser=SUPERUSER,
                keystore=keystore,
            )
            internal = INTERNAL_TOPICS.format(replication=1, min_in_sync=1)
            self._node = KafkaNode(
                self._root / "node", properties + internal, self._users, shared_classes()
            )
            self._node.launch()
            self._node.await_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._node is not None:
            self._node.stop()
            self._node = None
        shutil.rmtree(self._root, ignore_errors=True)

    def _certificates(self) -> Path:
        """Two authorities, and a certificate for 127.0.0.1 from the first; its path, with key."""
        for authority in (self.ca_file, self.stranger_ca_file):
            self._openssl(
                *("req", "-x509", "-new", "-nodes", "-newkey", "rsa:2048"),
                *("-keyout", str(authority.with_suffix(".key")), "-out", str(authority)),
                *("-days", CERTIFICATE_DAYS, "-subj", f"/CN={authority.stem}"),
            )
        key, request, signed = (self._root / f"broker.{kind}" for kind in ("key", "csr", "crt"))
        names = self._root / "names.cnf"
        names.write_text("subjectAltName=IP:127.0.0.1\n")
        self._openssl(
            *("req", "-new", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=broker"),
            *("-keyout", str(key), "-out", str(request)),
        )
        self._openssl(
            *("x509", "-req", "-in", str(request), "-out", str(signed)),
            *("-CA", str(self.ca_file), "-CAkey", str(self.ca_file.with_suffix(".key"))),
            *("-CAcreateserial", "-days", CERTIFICATE_DAYS, "-extfile", str(names)),
        )
        keystore = self._root / "keystore.pem"
        keystore.write_text(key.read_text() + signed.read_text())
        return keystore

    def _openssl(self, *arguments: str) -> None:
        openssl = shutil.which("openssl")
        if openssl is None:
            raise MissingComponentError("openssl", "no `openssl` on PATH to make certificates with")
        done = subprocess.run(
            [openssl, *arguments], capture_output=True, text=True, check=False, cwd=self._root
        )
        if done.returncode != 0:
            raise StartError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
