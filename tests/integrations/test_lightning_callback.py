import pickle

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from adapter_toys import Regression, only_case, samples, snippet

from cognate.integrations.lightning import CognateCallback

QUIET = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "log_every_n_steps": 1}


def module_of(package, poisoned=None, log=True):
    class Module(package.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = Regression(poisoned)
            self.losses = []

        def training_step(self, batch, index):
            loss = self.net(*batch)["loss"]
            self.losses.append(loss.item())
            if log:
                self.log("train_loss", loss, on_step=True, on_epoch=True)
            return loss

        def validation_step(self, batch, index):
            self.log("val_loss", self.net(*batch)["loss"])

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), lr=0.05)

    return Module()


def loader():
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(*samples()), batch_size=8)


def fit(place, callbacks, package=lightning.pytorch, epochs=2, **made):
    module = module_of(package, **made)
    trainer = package.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False, callbacks=callbacks, **QUIET)
    trainer.fit(module, loader(), loader())
    return trainer, module


@pytest.mark.parametrize("package", [lightning.pytorch, pytorch_lightning], ids=["lightning", "pytorch_lightning"])
def test_the_case_holds_what_the_module_logged_without_the_sanity_check(place, package):
    _, alone = fit(place, [], package)
    _, module = fit(place, [CognateCallback()], package)
    assert module.losses == alone.losses
    case = only_case(place)
    assert case.info["origin"] == "lightning callback" and case.info["integrity"]["finished"]
    assert case.metrics.take("loss")[1] == module.losses
    assert len(case.metrics.take("val_loss")[1]) == 2  # one an epoch, none of the sanity check
    assert case.info["columns"] == {
        "train_loss_step": "loss",
        "lr": "lr",
        "val_loss": "val_loss",
        "train_loss_epoch": "user.train_loss_epoch",
    }
    assert case.steps == 16


def test_the_loss_of_the_step_stands_in_where_none_is_logged(place):
    _, module = fit(place, [CognateCallback()], log=False)
    assert only_case(place).metrics.take("loss")[1] == module.losses


def test_a_run_of_nan_is_stopped_if_asked(place, said):
    trainer, _ = fit(place, [CognateCallback(stop_on="error")], epochs=10, poisoned=5)
    assert 8 <= trainer.global_step <= 16  # Lightning finishes its first epoch
    assert any("asks to stop" in line for line in said())


def test_a_crash_is_in_the_case(place):
    class Crash(lightning.pytorch.Callback):
        def on_train_batch_start(self, trainer, module, batch, index):
            if index == 4:
                raise RuntimeError("out of luck")

    with pytest.raises(RuntimeError, match="out of luck"):
        fit(place, [Crash(), CognateCallback()])
    info = only_case(place).info
    assert info["exception"]["type"] == "RuntimeError" and not info["integrity"]["finished"]


def test_a_spawned_process_gets_the_same_callback():
    made = pickle.loads(pickle.dumps(CognateCallback("here", 3, "error")))
    assert isinstance(made, CognateCallback) and made.options == CognateCallback("here", 3, "error").options


def test_the_snippet_of_the_docs(place):
    def trainer(**options):
        return lightning.pytorch.Trainer(logger=False, enable_checkpointing=False, **options, **QUIET)

    snippet(1, {"Trainer": trainer, "module": module_of(lightning.pytorch), "loader": loader()})
    assert only_case(place).steps == 24
