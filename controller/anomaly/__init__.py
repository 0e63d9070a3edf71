"""Detectors that read a snapshot and say what is wrong: findings, not yet incidents."""
