"""Networks that fit exactly: the cheapest, all of them, and those of the fewest neurons."""
