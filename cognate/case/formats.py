"""The names of the formats on disk, apart from the types of `schema`: who only writes or checks a name needs no types."""

SCHEMA = "cognate.case/1"
TRAINING_SCHEMA = "cognate.training/1"
