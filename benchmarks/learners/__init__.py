"""What `learn.py` compares the reference model with, how it trains both, and what it measures of them."""
