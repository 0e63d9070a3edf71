"""Which job runs on which chips, and why one waits."""
