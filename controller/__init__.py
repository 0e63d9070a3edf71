"""The fleet's mind: telemetry in, decisions out, every effect by one door.

`state`, `anomaly`, `cooling`, `placement` and `incidents` are pure: state and input give new state
and effects, with no clock, no I/O and no thread inside, so each can be replayed.
"""
