"""The reference model: a small recursive transformer with adaptive computation time, the patient that is always at hand."""
