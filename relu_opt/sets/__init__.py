"""What the optimal set is made of: the equicorrelated neurons, and the polytope of their sizes."""
