"""CPU work: what shares a core with the hub, and what leaves it."""
