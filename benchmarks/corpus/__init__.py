"""The fault corpus: base programs, operators that plant one fault, and the commands that materialise and verify them."""
