"""The bench: runs a corpus of programs whose fault is known, and scores what the diagnosis said about each."""
