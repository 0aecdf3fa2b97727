"""One renderer a file, one Diagnosis in."""
