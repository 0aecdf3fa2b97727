"""Each text format, in the shape in which its library or its script prints it."""

import pytest

from cognate.observe.logs import recognise


@pytest.fixture
def read(rows_and_info):
    return rows_and_info


def series(rows, name):
    return {row["step"]: row[name] for row in rows if name in row}


def user(rows, name):
    return [row["user"][name] for row in rows if name in row.get("user", {})]


HF_FLOATS = """\
  0%|          | 0/30 [00:00<?, ?it/s]
 33%|███▎      | 10/30 [00:05<00:10,  1.9it/s]{'loss': 2.1, 'grad_norm': 1.5, 'learning_rate': 4e-05, 'epoch': 0.33}
{'loss': 1.4, 'grad_norm': nan, 'learning_rate': 2e-05, 'epoch': 0.67}
{'eval_loss': 1.6, 'eval_accuracy': 0.5, 'eval_runtime': 3.2, 'eval_samples_per_second': 31.2, 'epoch': 0.67}
{'loss': 0.9, 'grad_norm': 0.7, 'learning_rate': 0.0, 'epoch': 1.0}
{'train_runtime': 31.4, 'train_samples_per_second': 9.5, 'train_loss': 1.46, 'epoch': 1.0}
"""


def test_trainer_dicts_with_floats_between_bars(read):
    rows, info = read(HF_FLOATS)
    assert [row["loss"] for row in rows] == [2.1, 1.4, 0.9]
    assert [row.get("val_loss") for row in rows] == [None, 1.6, None]
    assert rows[1]["nonfinite"] == {"grad_norm": "nan"} and user(rows, "eval_accuracy") == [0.5]
    assert [row["epoch"] for row in rows] == [0.33, 0.67, 1.0]
    assert info["origin"] == "huggingface printed log" and info["log"]["step_unit"] == "row"
    assert info["integrity"]["finished"] is True and info["log"]["train_runtime"] == 31.4


def test_trainer_dicts_with_strings_and_carriage_returns_in_a_logger(read):
    lines = [
        "[2026-01-05 10:00:00,123] [INFO] [axolotl.train:47] [PID:12] starting trainer",
        *(
            f"\r 10%|█         | {n}/40 [00:0{n}<00:10]\r          \r"
            f"{{'loss': '{4 - n}.5', 'learning_rate': '1e-05', 'epoch': '0.{n}'}}"
            for n in range(1, 4)
        ),
        "{'loss': np.float64(0.25), 'epoch': '0.4'}",
    ]
    rows, info = read("\r\n".join(lines), "debug.log")
    assert [row["loss"] for row in rows] == [3.5, 2.5, 1.5, 0.25]
    assert info["columns"]["learning_rate"] == "lr" and info["integrity"]["finished"] is False


def megatron(step, loss="6.5E+00", norm=" grad norm: 1.25 |", skipped=0, nan=0):
    told = f" lm loss: {loss} |" if loss else ""
    return (
        f" iteration {step:8d}/     400 | consumed samples: {step * 8} | elapsed time per iteration (ms): 91.5 |"
        f" learning rate: 1.5E-04 |"
        f" global batch size:     8 |{told} loss scale: 4096.0 |{norm} number of skipped iterations: {skipped} |"
        f" number of nan iterations: {nan} |"
    )


def test_megatron_iterations(read):
    lines = [
        "  adam_beta1 ...................... 0.9",
        megatron(100),
        megatron(200, loss="", norm="", skipped=8),
        megatron(300, loss="nan", nan=2),
        "-" * 40,
        " validation loss at iteration 300 | lm loss value: 6.25E+00 | lm loss PPL: 5.2E+02 | ",
        "-" * 40,
        megatron(400, loss="5.0E+00"),
    ]
    rows, info = read("\n".join(lines))
    assert series(rows, "loss") == {100: 6.5, 300: None, 400: 5.0}
    assert rows[2]["nonfinite"] == {"loss": "nan"}
    assert series(rows, "grad_norm") == {100: 1.25, 300: 1.25, 400: 1.25}
    assert series(rows, "val_loss") == {300: 6.25}
    assert (info["log"]["skipped_iterations"], info["log"]["nan_iterations"]) == (8, 2)
    assert info["log"]["max_steps"] == 400 and info["integrity"]["finished"] is True


def test_nemo_counts_its_global_step(read):
    lines = [
        f"Training epoch {e}, iteration {i}/4 | lr: 0.001 | global_batch_size: 8 | global_step: {5 * e + i} | "
        f"reduced_train_loss: {9 - e - i / 10} | train_step_timing in s: 1.2 | consumed_samples: 8"
        for e in range(2)
        for i in range(5)
    ]
    rows, _ = read("\n".join(lines))
    assert [row["step"] for row in rows] == list(range(10)) and rows[6]["loss"] == 7.9


def test_nanogpt_has_two_train_losses(read):
    lines = [
        "number of parameters: 10.65M",
        "step 0: train loss 4.2, val loss 4.3",
        "iter 0: loss 4.25, time 900.1ms, mfu -100.00%",
    ]
    lines += [f"iter {n}: loss {4.2 - n / 100:.2f}, time 30.00ms, mfu 17.00%" for n in range(10, 101, 10)]
    lines += ["step 100: train loss 3.1, val loss 3.3"]
    rows, info = read("\n".join(lines))
    assert series(rows, "loss")[10] == 4.1 and len(series(rows, "loss")) == 11
    assert series(rows, "val_loss") == {0: 4.3, 100: 3.3} and user(rows, "train_loss") == [4.2, 3.1]
    assert info["log"]["step_unit"] == "step"


def test_build_nanogpt_and_modded_nanogpt(read):
    rows, _ = read("0 val 10.95\n0 hella 0.2487\n0 train 10.955010\n1 train 10.902684\n2 train 10.8\n", "log.txt")
    assert rows[0] == {"step": 0, "val_loss": 10.95, "loss": 10.95501, "user": {"hellaswag": 0.2487}}
    rows, info = read(
        "\n".join(f"step:{n}/250 val_loss:{9 - n / 50:.4f} train_time:{n}ms step_avg:9ms" for n in range(0, 251, 125))
    )
    assert series(rows, "val_loss") == {0: 9.0, 125: 6.5, 250: 4.0} and info["integrity"]["finished"] is True


def bar(epoch, done, tail, of=3):
    return f"{done}/{of} [{'=' * done}>{'.' * (of - done)}] - ETA: 0s - {tail}"


def test_keras_bars_that_overwrite_themselves(read):
    text = ""
    for e in (1, 2):
        text += f"Epoch {e}/2\n" + "\r".join(bar(e, n, f"loss: {5 / e + 1 / n:.4f} - accuracy: 0.1") for n in (1, 2, 3))
        text += "\b" * 70 + f"3/3 [==============================] - 1s 5ms/step - loss: {5 / e:.4f} - accuracy: 0.{e}"
        text += f" - val_loss: {6 / e:.4f} - val_accuracy: 0.{e}\n"
        text += f"\nEpoch 0000{e}: val_loss improved from inf to {6 / e:.5f}, saving model to best.h5\n"
    text += "10/10 [==============================] - 0s 1ms/step - loss: 0.0714 - accuracy: 0.9\n"
    rows, info = read(text)
    assert series(rows, "loss") == {1: 5.0, 2: 2.5} and series(rows, "val_loss") == {1: 6.0, 2: 3.0}
    assert info["log"]["step_unit"] == "epoch" and info["log"]["evaluations"] == [{"loss": 0.0714, "accuracy": 0.9}]


def test_keras_3_in_colour_with_an_epoch_that_ends_in_nan(read):
    def line(done, tail):
        return f"\r\x1b[1m{done}/9\x1b[0m \x1b[32m━━━━━\x1b[0m\x1b[37m━━\x1b[0m \x1b[1m1s\x1b[0m 5ms/step - {tail}"

    text = "Epoch 1/5\n" + "".join(line(n, f"accuracy: 0.1 - loss: {9 - n}.0000") for n in range(1, 10))
    text += line(9, "accuracy: 0.2 - loss: 0.5 - val_accuracy: 0.3 - val_loss: 0.7 - learning_rate: 0.0010") + "\n"
    text += "Epoch 2/5\n" + line(3, "accuracy: 0.2 - loss: nan")
    rows, info = read(text)
    assert series(rows, "loss") == {1: 0.5, 2: None} and rows[0]["lr"] == 0.001
    assert rows[1]["nonfinite"] == {"loss": "nan"} and info["log"]["max_epochs"] == 5


def test_keras_one_line_an_epoch(read):
    text = "".join(
        f"Epoch {e}/3\n100/100 - 1s - loss: {2 / e:.4f} - val_loss: {3 / e:.4f} - 1s/epoch - 12ms/step\n" for e in (1, 2, 3)
    )
    rows, info = read(text + "Epoch 3: early stopping\n")
    assert series(rows, "val_loss") == {1: 3.0, 2: 1.5, 3: 1.0} and info["log"]["stopped_early"] is True


def test_the_word_language_model(read):
    lines = ["Namespace(batch_size=20, bptt=35, clip=0.25, epochs=2, lr=20, log_interval=200, emsize=200)"]
    for e in (1, 2):
        lines += [
            f"| epoch   {e} | {n:5d}/ 2983 batches | lr 20.00 | ms/batch 11.9 | loss {9 - e - n / 1000:5.2f} | ppl 99.9"
            for n in (200, 400)
        ]
        lines += ["-" * 89, f"| end of epoch   {e} | time: 37.21s | valid loss {6 - e:5.2f} | valid ppl   459.87", "-" * 89]
    lines += ["=" * 89, "| End of training | test loss  5.27 | test ppl   195.38"]
    rows, info = read("\n".join(lines))
    assert series(rows, "loss") == {200: 7.8, 400: 7.6, 3183: 6.8, 3383: 6.6}
    assert series(rows, "val_loss") == {400: 5.0, 3383: 4.0} and series(rows, "lr")[200] == 20
    assert info["log"]["step_unit"] == "step" and info["integrity"]["finished"] is True


def test_imagenet_meters(read):
    lines = ["=> creating model 'resnet18'"]
    for e in (0, 1):
        lines += [
            f"Epoch: [{e}][{n:3d}/100]\tTime  0.5 ( 1.2)\tData  0.0 ( 0.6)"
            f"\tLoss {7 - e - n / 100:.4e} (7.0e+00)\tAcc@1   0.39 (  0.11)"
            for n in (0, 50)
        ]
        lines += [f"Test: [{n:2d}/40]\tTime  1.0 ( 1.0)\tLoss 9.9e+00 ({5 - e}.{n}e+00)\tAcc@1  10.00 ( 11.00)" for n in (10, 30)]
        lines += [f" *   Acc@1 {30 + e}.500 Acc@5 60.200"]
    rows, info = read("\n".join(lines))
    assert series(rows, "loss") == {0: 7.0, 50: 6.5, 100: 6.0, 150: 5.5}
    assert series(rows, "val_loss") == {50: 5.3, 150: 4.3} and user(rows, "val Acc@1") == [30.5, 31.5]
    assert not any("time" in name.lower() for name in info["columns"])


def test_mnist_counts_samples_and_no_steps(read):
    text = ""
    for e in (1, 2):
        text += "".join(f"Train Epoch: {e} [{n}/60000 ({n // 600}%)]\tLoss: {3 - e - n / 60000:.6f}\n" for n in (0, 30000))
        text += f"\nTest set: Average loss: {0.5 / e:.4f}, Accuracy: {9000 + e}/10000 (90%)\n\n"
    rows, info = read(text)
    assert [row["loss"] for row in rows] == [2.0, 1.5, 1.0, 0.5]
    assert [row.get("val_loss") for row in rows] == [None, 0.5, None, 0.25]
    assert [row["epoch"] for row in rows] == [0.0, 0.5, 1.0, 1.5] and user(rows, "test accuracy") == [0.9001, 0.9002]
    assert info["log"]["step_unit"] == "row"


def test_torchtune_and_composer(read):
    rows, info = read(
        "".join(f"Step {n} | loss:{4 / n} lr:2e-05 tokens_per_second_per_gpu:911.2 \n" for n in (1, 2, 4)), "log_1.txt"
    )
    assert series(rows, "loss") == {1: 4.0, 2: 2.0, 4: 1.0} and "tokens_per_second_per_gpu" not in info["columns"]
    text = "".join(f'[BATCH][step={n}]: {{ "loss/train/total": {4 / n}, "time/batch": {n} }}\n' for n in (1, 2, 4))
    rows, _ = read(text + '[EVAL][step=4]: { "metrics/eval/LanguageCrossEntropy": 1.5 }\n', "logs-rank0.txt")
    assert series(rows, "loss") == {1: 4.0, 2: 2.0, 4: 1.0}


def test_fairseq_in_both_formats(read):
    simple = [
        f"2021-05-01 10:00:0{n} | INFO | train_inner | epoch 001:    {n}0 / 1000 loss={9 - n}.5, ppl=99.1, wps=1234, ups=5, "
        f"num_updates={n}0, lr=1e-05, gnorm=3.25, train_wall=10, wall=20"
        for n in (1, 2, 3)
    ]
    simple += [
        "2021-05-01 10:01:00 | INFO | valid | epoch 001 | valid on 'valid' subset | loss 7.5 | num_updates 30 | best_loss 7.5"
    ]
    rows, info = read("\n".join(simple))
    assert series(rows, "loss") == {10: 8.5, 20: 7.5, 30: 6.5} and series(rows, "val_loss") == {30: 7.5}
    assert rows[0]["grad_norm"] == 3.25 and not any("best" in name or "wps" in name for name in info["columns"])
    inside = [
        f'2021-05-01 10:00:0{n} | INFO | train_inner | {{"epoch": 1, "loss": "{9 - n}.5", "num_updates": "{n}0", "lr": "1e-05"}}'
        for n in (1, 2, 3)
    ]
    inside += ['2021-05-01 10:01:00 | INFO | valid | {"epoch": 1, "valid_loss": "7.5", "valid_num_updates": "30"}']
    again, _ = read("\n".join(inside))
    assert [(row["step"], row.get("loss"), row.get("val_loss")) for row in again] == [
        (10, 8.5, None),
        (20, 7.5, None),
        (30, 6.5, 7.5),
    ]


def test_espnet(read):
    lines = [
        f"[gpu] 2021-05-01 10:00:0{n},123 (trainer:732) INFO: 1epoch:train:{n}01-{n}50batch: iter_time=0.1, "
        f"loss_ctc=9.1, loss={9 - n}.5, acc=0.{n}"
        for n in (1, 2, 3)
    ]
    lines += ["[gpu] 2021-05-01 (trainer:338) INFO: 1epoch results: [train] iter_time=0.1, loss=6.5, [valid] loss=5.5, total=1"]
    rows, _ = read("\n".join(lines))
    assert [row["loss"] for row in rows] == [8.5, 7.5, 6.5] and rows[2]["val_loss"] == 5.5


def test_tables_of_skorch_and_fastai(read):
    head = "  epoch    train_loss    valid_acc    valid_loss     dur\n-------  ------------  -----------  ------------  ------\n"
    rows, info = read(
        head + "".join(f"      {e}        {2 / e:.4f}       0.{e}000        {3 / e:.4f}  0.1234\n" for e in (1, 2, 3))
    )
    assert series(rows, "loss") == {1: 2.0, 2: 1.0, 3: 0.6667} and series(rows, "val_loss") == {1: 3.0, 2: 1.5, 3: 1.0}
    assert "dur" not in info["columns"]
    head = "epoch     train_loss  valid_loss  accuracy  time    \n"
    rows, info = read(head + "".join(f"{e}         {2 - e:.6f}    {3 - e:.6f}    0.500000  00:05     \n" for e in (0, 1)))
    assert series(rows, "val_loss") == {0: 3.0, 1: 2.0} and info["log"]["step_unit"] == "epoch"


def test_a_folder_is_read_by_its_largest_log(tmp_path):
    (tmp_path / "small.log").write_text("epoch 1 loss 0.5\nepoch 2 loss 0.4\nepoch 3 loss 0.3\n")
    (tmp_path / "large.out").write_text("".join(f"epoch {n} loss {1 / n}\n" for n in range(1, 50)))
    (tmp_path / "notes.txt").write_text("nothing to be read here\n" * 999)
    found = recognise(tmp_path)
    assert found is not None and found[1].name == "large.out"


def test_only_text_in_a_folder_is_taken_for_printed_output(tmp_path):
    lines = "".join(f"epoch {n} loss {1 / n}\n" for n in range(1, 50))
    (tmp_path / "log.md").write_text(lines)
    assert recognise(tmp_path) is None
    (tmp_path / "train.o12345").write_text(lines)
    found = recognise(tmp_path)
    assert found is not None and found[1].name == "train.o12345"
