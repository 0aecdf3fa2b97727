"""What Lightning's own CSVLogger writes."""

import math

from cognate.case.case import Case
from cognate.observe.logs import import_run


def test_a_run_that_lightnings_logger_wrote(tmp_path):
    from lightning.pytorch.loggers import CSVLogger

    logger = CSVLogger(tmp_path, name="my-run", flush_logs_every_n_steps=2)
    logger.log_hyperparams({"lr": 0.01, "layers": [4, 4], "max_steps": 6})
    for step in range(6):
        logger.log_metrics({"lr-Adam": 0.01}, step)
        logger.log_metrics({"epoch": step // 3, "train_loss_step": math.nan if step == 4 else 1 / (step + 1)}, step)
        if step % 3 == 2:
            logger.log_metrics({"epoch": step // 3, "val_loss": 2 / (step + 1), "val_acc": 0.5}, step)
            logger.log_metrics({"epoch": step // 3, "train_loss_epoch": 0.7}, step)
    logger.finalize("success")
    for number, target in enumerate(
        (tmp_path / "my-run", tmp_path / "my-run" / "version_0", tmp_path / "my-run/version_0/metrics.csv")
    ):
        import_run(target, tmp_path / str(number))
        case = Case.open(tmp_path / str(number))
        assert case.info["origin"] == "Lightning metrics" and case.info["title"] == "my-run/version_0"
        assert [row["step"] for row in case.metrics] == list(range(6))
        assert [row.get("loss") for row in case.metrics] == [1.0, 1 / 2, 1 / 3, 1 / 4, None, 1 / 6]
        assert [row.get("val_loss") for row in case.metrics] == [None, None, 2 / 3, None, None, 1 / 3]
        # Lightning writes NaN as text, so that it can be told from a blank.
        assert case.metrics[4]["nonfinite"] == {"loss": "nan"}
        assert case.info["log"]["hparams"] == {"lr": 0.01, "max_steps": 6} and case.info["log"]["max_steps"] == 6
