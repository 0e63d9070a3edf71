"""docker-compose.yml against what exists: commands, options, ports, Kafka's settings."""

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from isotherm.servers.kafka_jars import kafka_version
from tests.house.tree import ROOT, configuration

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
ROLES = sorted(name for name, service in SERVICES.items() if "command" in service)
KNOWN_KEYS = {
    *("image", "build", "command", "environment", "ports", "volumes", "depends_on", "healthcheck"),
    *("restart", "init", "read_only", "tmpfs", "security_opt", "cap_drop", "network_mode"),
}


@cache
def help_of(module: str, *command: str) -> str:
    words = [sys.executable, "-m", module, *command, "--help"]
    wide = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
    done = subprocess.run(words, cwd=ROOT, env=wide, capture_output=True, text=True, check=True)
    return done.stdout


def test_a_role_for_each_process_and_both_servers() -> None:
    assert set(SERVICES) == {"broker", "database", "emulator", "agents", "controller", "api"}


@pytest.mark.parametrize("name", SERVICES)
def test_services_use_keys_that_compose_knows(name: str) -> None:
    assert set(SERVICES[name]) - KNOWN_KEYS == set()


@pytest.mark.parametrize("name", ROLES)
def test_each_command_is_a_script_and_each_option_is_one_of_its_own(name: str) -> None:
    script, *arguments = SERVICES[name]["command"]
    module = configuration()["project"]["scripts"][script].partition(".__main__:")[0]
    split = next((i for i, word in enumerate(arguments) if word.startswith("-")), len(arguments))
    known = set(re.findall(r"--[\w-]+", help_of(module, *arguments[:split])))
    assert {word for word in arguments if word.startswith("--")} - known == set()


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_waits_for_exists_and_can_become_so(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", SERVICES)
def test_nothing_is_published_beyond_this_machine(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_and_volumes_declared(name: str) -> None:
    assert re.fullmatch(r"[\w/.-]+:(local|\d+\.\d+(\.\d+)?)", SERVICES[name]["image"])
    named = {volume.partition(":")[0] for volume in SERVICES[name].get("volumes", [])}
    assert named - set(COMPOSE["volumes"]) == set()


def test_no_password_is_written_down() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert re.findall(r"PASSWORD: (?!\$\{POSTGRES_PASSWORD)", text) == []
    assert re.findall(r"://\w+:(?!\$\{POSTGRES_PASSWORD\})[^@/\s]+@", text) == []


def test_kafka_is_the_one_that_the_tests_run_on() -> None:
    assert SERVICES["broker"]["image"] == f"apache/kafka:{kafka_version()}"


def test_containers_and_this_machine_each_have_a_way_to_kafka() -> None:
    environment = SERVICES["broker"]["environment"]
    pairs = environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    advertised = {address.partition("://")[2] for address in pairs}
    assert advertised == {"localhost:9092", "broker:19092"}
    used = {word for name in ROLES for word in SERVICES[name]["command"] if "broker:" in word}
    assert used == {"broker:19092"}


def test_one_node_keeps_one_copy() -> None:
    environment = SERVICES["broker"]["environment"]
    copies = {k: v for k, v in environment.items() if re.search(r"REPLICATION|MIN_ISR", k)}
    assert len(copies) == 5
    assert set(copies.values()) == {"1"}


@pytest.mark.parametrize("name", ROLES)
def test_roles_are_built_from_a_file_that_copies_what_exists(name: str) -> None:
    dockerfile = Path(SERVICES[name]["build"]["dockerfile"])
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", (ROOT / dockerfile).read_text(), re.M)
    sources = [source for line in copied for source in line.split()]
    assert [source for source in sources if not (ROOT / source).exists()] == []
