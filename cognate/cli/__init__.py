"""The command line: one verb a file, each thin; what a verb needs is imported when it is used."""
