"""How the optimum answers to changes of λ and of the data."""
