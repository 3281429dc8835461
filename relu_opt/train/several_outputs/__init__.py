"""Networks with several outputs: training over all activation patterns, bounds and proofs."""
