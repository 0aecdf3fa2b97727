"""`python -m cognate` is `cognate`."""

from cognate.cli.main import run

if __name__ == "__main__":
    run()
