"""`isotherm grant`: what a user of the brokers may do."""

from typing import Annotated

import typer

from fleet.kafka_admin import Role, ensure_topics, grant
from fleet.kafka_options import read_kafka_options
from fleet.topics import TOPICS
from isotherm.cli.output import terminal

console = terminal()


def grant_command(
    user: Annotated[str, typer.Argument(help="Name with which it logs in to the brokers.")],
    role: Annotated[Role, typer.Option(help="Whose processes log in so.")],
    kafka: Annotated[str, typer.Option(help="HOST:PORT[,...] of the brokers.")],
) -> None:
    """Make the topics, and let a user of the brokers do what its role needs, no more."""
    options = read_kafka_options(kafka)
    ensure_topics(options, TOPICS)
    console.print(f"{user} has {grant(options, user, role)} rights of role {role}")
