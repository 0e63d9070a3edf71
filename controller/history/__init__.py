"""What the fleet said, kept: windows that fill up, and the blocks that they are sealed into."""
