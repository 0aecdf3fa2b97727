"""Findings → ranked root causes with measured confidence."""

from cognate.diagnosis.diagnose import diagnose
from cognate.diagnosis.model import Diagnosed, Diagnosis

__all__ = ["Diagnosed", "Diagnosis", "diagnose"]
