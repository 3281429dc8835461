"""What a regularization path is made of."""
