"""Experiments on copies of the observed model, one a file: each says what it did, or why it could not run."""
