"""Suite `pipeline`: telemetry from message to committed history."""
