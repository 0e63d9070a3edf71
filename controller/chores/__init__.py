"""What the leader does now and then: roll history up, delete what is old."""
