"""Columns of what the fleet last said, and read-only snapshots of them."""
