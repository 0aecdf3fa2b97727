"""The evidence model, its store on disk, and helpers over series.

Nothing is imported here: the recorder takes `cognate.case.store` into the user's process and wants nothing else.
"""
