"""The truth: a transient model of one cooling loop, with its faults, run by the emulator only."""
