"""Findings grouped by likely cause into incidents, each with a life of its own."""
