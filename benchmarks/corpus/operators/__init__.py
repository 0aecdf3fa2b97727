"""Mutation operators, one module a cause: `edits(source)` finds its anchors by syntax and returns the text edits."""
