"""The script and its first-party modules, read and never run. Standard library only."""

from cognate.observe.source.closure import first_party, module_file, snapshot
from cognate.observe.source.edits import PathEdit
from cognate.observe.source.guards import Guard
from cognate.observe.source.imports import Import, Scan, scan

__all__ = ["Guard", "Import", "PathEdit", "Scan", "first_party", "module_file", "scan", "snapshot"]
