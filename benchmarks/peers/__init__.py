"""Other tools on the programs of the corpus, each run as its own documentation says."""
