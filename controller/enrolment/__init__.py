"""Which hardware belongs into which place, and what is wrong where another stands there."""
