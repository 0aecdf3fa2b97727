"""The reference trainer: a plain loop with exact resume, token-weighted accumulation and a validation loss that is real."""
