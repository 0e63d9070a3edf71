"""Telling people: an incident becomes a signed POST, tried again until it is taken."""
