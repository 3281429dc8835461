"""Deep networks by formulas, neural collapse, and networks trained elsewhere beside them."""
