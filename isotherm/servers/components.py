"""Outside components (a broker, a database server, a browser) that a machine may lack."""


class MissingComponentError(Exception):
    """The machine lacks a component that a test or a command needs."""

    def __init__(self, component: str, reason: str) -> None:
        super().__init__(f"{component} is missing: {reason}")
        self.component = component
        self.reason = reason
