"""Data for the trainer: read, split, tokenised, packed; every decision on the way is a fact for the report."""
