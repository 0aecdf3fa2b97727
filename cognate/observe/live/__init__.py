"""The recorder inside the user's training process: standard library and the torch that the user's script imports.

launch.py     parent: starts `python SCRIPT` with the recorder in it, waits, completes the case
_site/        child: Python's own `sitecustomize` hook, before the first line of the script
start.py      child: waits for torch, listens to printed lines, says how the run ended
install.py    child: puts the hooks below in place, once torch has been imported
recorder.py   the state that all hooks share: step, window, budget, files
ranks.py      child: one of several ranks gets a part of the case of its own
merge.py      parent: the parts of the ranks are put together
"""
