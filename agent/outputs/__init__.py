"""What an agent can move: power of a sled, jobs of its runtime, valve and pumps of a CDU."""
