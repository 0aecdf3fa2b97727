DEFAULTS = {"seed": 23, "features": 14, "hidden": 80, "dropout": 0.4, "lr": 2e-3, "batch": 40, "epochs": 16, "train": 900, "val": 500}


def load_config(**changes):
    return {**DEFAULTS, **changes}
