"""What benchmarks/train.py compares: a naive training step, other trainers' loops, and the processes that run them."""
