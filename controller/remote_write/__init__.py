"""Chosen aggregates of the fleet, pushed to any server that takes Prometheus remote write."""
