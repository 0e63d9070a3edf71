"""Control laws as pure functions over frozen state: no clock, no I/O."""
