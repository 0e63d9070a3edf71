"""The desk: what people and programs see of a fleet, and where they say what they want of it."""
