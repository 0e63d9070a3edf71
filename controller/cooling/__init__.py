"""One cooling loop: estimate, policy, and the supervisor that has the last word."""
