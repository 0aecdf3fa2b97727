"""Lines as widespread training code prints them, each read by the general reader of script output."""

import pytest

from cognate.observe.logs import recognise, script_output


@pytest.fixture
def read(tmp_path):
    def run(text):
        (tmp_path / "x.log").write_text(text)
        found = recognise(tmp_path / "x.log")
        assert found is not None
        return found[0].read(found[1])

    return run


def test_the_epochs_of_a_segmentation_script(read):
    text = "Namespace(cfg='a.yaml', opts=[], seed=304)\nTRAIN:\n  LR: 0.05\n  MOMENTUM: 0.9\n"
    for e in (352, 353):
        for n in (0, 250):
            text += f"Epoch: [{e}/520] Iter:[{n}/500], Time: 5.02, lr: [0.0180{n}], Loss: {400 - e}.{n}, Acc:0.64, IC loss: 0.4\n"
        text += "0 [0.91770221 0.49145708 0.7697205]\n 0.1516 0.2708 0.2893] 0.3336\n"
        text += f"Loss: 0.9{e}, MeanIU:  0.4960, Best_mIoU:  0.5217\n0\n10\n"
    run = read(text)
    assert list(run.series["step"]) == [175500, 175750, 176000, 176250]
    assert list(run.series["loss"]) == [48.0, 48.25, 47.0, 47.25] and run.series["lr"][1] == 0.0180250
    assert run.series["user.train_loss alone"] == [None, 0.9352, None, 0.9353]
    assert "Time" not in run.columns and not any("best" in name for name in run.columns)


def test_percentages_of_bars_and_means_of_epochs(read):
    text = ""
    for e in (1, 2, 3):
        text += f"\nEpoch [{e}]\n\n"
        text += "".join(
            f"Training:  {n}%|█   | {n}/100 [00:02<26:23,  2.77s/it, loss={e + n / 1000}, dice=0.1]\n" for n in (0, 50, 100)
        )
        text += f"Train Loss: {e}.5, Dice: 0.5\nVal Loss: {e}.25, Dice: 0.4\n"
    run = read(text)
    assert list(run.series["loss"])[:3] == [1.0, 1.05, 1.1] and run.columns["val_loss"] == "val_loss"
    assert [value for value in run.series["val_loss"] if value is not None] == [1.25, 2.25, 3.25]
    assert list(run.series["step"]) == [0, 50, 100, 100, 150, 200, 200, 250, 300]
    assert "train" not in run.columns


STEPS = [
    "2023-05-01 10:00:0{i},123 - mmdet - INFO - Epoch [1][{n}/7330]\tlr: 1.9e-03, eta: 1 day, 2:03:04, loss_cls: 9, loss: {v}",
    "05/01 10:00:0{i} - mmengine - INFO - Epoch(train)  [1][ {n}/7330]  lr: 1.9e-03  eta: 1 day, 2:03:04  time: 0.3  loss: {v}",
    "[05/01 10:00:0{i} d2.utils.events]:  eta: 1:23:45  iter: {n}  total_loss: {v}  loss_cls: 9  lr: 0.0019  max_mem: 3000M",
    "I0501 10:00:0{i}.123456  1234 solver.cpp:218] Iteration {n} (5.2 iter/s, 19s/100 iters), loss = {v}, lr = 0.0019",
    "[2024/05/01 10:00:0{i}] ppocr INFO: epoch: [1/500], global_step: {n}, lr: 0.0019, loss: {v}, ips: 300 samples/s",
    "step  {n}/18865 | loss {v} (+nanz)| norm 15.3000 (+nanz)| lr 1.9e-03 | 3400.11 ms | 54.2% bf16 MFU | 154000 tok/s",
    "[1/25][{n}/1583]\tLoss: {v}\tlr: 0.0019",
    "Epoch 1:  10%|█   | {n}/7330 [00:01<00:05,  3.2it/s, loss={v}, v_num=0, lr=0.0019]",
    "(epoch: 1, iters: {n}, time: 0.123, data: 0.456) loss: {v} lr: 0.0019",
    "Elapsed time: 12s Step {n} Train Loss: {v} LR: 1.9000e-03",
]


@pytest.mark.parametrize("style", STEPS)
def test_a_line_a_step(read, style):
    run = read("".join(style.format(i=i, n=100 * i, v=f"{4 / i:.3f}") + "\n" for i in (1, 2, 4, 8)))
    assert list(run.series["step"]) == [100, 200, 400, 800] and run.facts["step_unit"] == "step"
    assert list(run.series["loss"]) == [4.0, 2.0, 1.0, 0.5]
    assert set(run.series.get("lr", ())) == {0.0019} or "lr" not in style


@pytest.mark.parametrize(
    "text",
    [
        "[2022-09-23 19:31:01,023][__main__][INFO] - Starting training!\n[2022-09-23][INFO] - Best ckpt: C:\\x\\epoch_009.ckpt\n"
        * 5,
        '2026-04-13 09:06:02,797 - INFO - Step 1: Loading dataset\n09:06:08 - INFO - HTTP Request: GET /x "HTTP/1.1 200 OK"\n'
        * 5,
        "Completed Stage: Warm Up\nSTAGE:2025-04-07 10:29:46 22264:22264 ActivityProfilerController.cpp:314] Completed\n" * 5,
    ],
)
def test_logs_without_a_metric_are_left_alone(tmp_path, text):
    (tmp_path / "x.log").write_text(text)
    assert script_output.find(tmp_path / "x.log") is None
