"""Thin adapters for other people's trainers: each hands what the framework logs to one `LoggedRun`, which judges it.

Each is a file that imports its framework, so import the one that you use: `cognate.integrations.huggingface`,
`.lightning`, `.accelerate`; `cognate.watch` is for a loop of your own.
"""
