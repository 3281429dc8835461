"""Global optimality over all activation patterns: oracles, and training with them."""
