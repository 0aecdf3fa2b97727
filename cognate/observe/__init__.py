"""Everything that writes evidence, one folder a source; it knows nothing of rules or diagnoses."""
