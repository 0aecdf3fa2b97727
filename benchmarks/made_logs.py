"""Small healthy logs of the known formats, for damaging them."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.written_logs import binaries

STEPS = range(1, 25)
CURVE = {step: 2.0 / step for step in STEPS}
MLFLOW = "metrics (key TEXT, value REAL, timestamp INTEGER, run_uuid TEXT, step INTEGER, is_nan INTEGER)"
RUNS = "runs (run_uuid TEXT, name TEXT, status TEXT, lifecycle_stage TEXT)"
TRACKIO = "metrics (run_id TEXT, timestamp TEXT, run_name TEXT, step INTEGER, metrics TEXT)"


def made() -> dict[str, bytes]:
    """A small healthy log of each format, by the name that its file usually has."""
    return {**_tables(), **_json(), **_printed(), **_stores(), **binaries(CURVE)}


def _lines(line: Callable[[int], str], header: str = "") -> bytes:
    return (header + "".join(line(step) + "\n" for step in STEPS)).encode()


def _objects(make: Callable[[int], object]) -> bytes:
    return _lines(lambda step: json.dumps(make(step)))


def _tables() -> dict[str, bytes]:
    return {
        "metrics.csv": _lines(
            lambda n: f"{n // 6},{n * 50},{CURVE[n]},{'' if n % 6 else CURVE[n]},0.001",
            "epoch,step,train_loss_step,val_loss,lr-Adam\n",
        ),
        "training_log.csv": _lines(
            lambda n: f"{n - 1},0.5,{CURVE[n]},0.4,{CURVE[n]}", "epoch,accuracy,loss,val_accuracy,val_loss\n"
        ),
        "results.csv": _lines(
            lambda n: f"   {n},   {CURVE[n]:.5g},  1.0,  1e-05", "   epoch,  train/box_loss,  val/box_loss,  lr/pg0\n"
        ),
        "progress.csv": _lines(lambda n: f"{n * 2048},{n},{CURVE[n]}", "time/total_timesteps,rollout/ep_rew_mean,train/loss\n"),
        "log.tsv": _lines(lambda n: f"{n}\t{CURVE[n]}\t0.5", "step\tloss\tacc\n"),
    }


def _json() -> dict[str, bytes]:
    history: list[dict[str, object]] = [
        {"step": n, "epoch": n / 10, "loss": CURVE[n], "grad_norm": 1.0, "learning_rate": 1e-4} for n in STEPS
    ]
    history.append({"step": 24, "epoch": 2.4, "eval_loss": 0.5})
    return {
        "trainer_state.json": json.dumps({"global_step": 24, "max_steps": 24, "log_history": history}, indent=1).encode(),
        "trainer_log.jsonl": _objects(
            lambda n: {"current_steps": n, "total_steps": 24, "loss": CURVE[n], "elapsed_time": f"0:00:{n:02}"}
        ),
        "metrics.json": _objects(
            lambda n: {"iteration": n * 20 - 1, "total_loss": CURVE[n], "data_time": 0.1, "bbox/AP": float("nan")}
        ),
        "result.json": _objects(
            lambda n: {"training_iteration": n, "loss": CURVE[n], "time_total_s": n, "config": {"lr": 0.1}, "done": False}
        ),
        "history.json": json.dumps({"loss": list(CURVE.values()), "val_loss": list(CURVE.values())}).encode(),
        "epochs.json": json.dumps([{"epoch": n, "train": {"loss": CURVE[n]}, "val": {"loss": 1.0}} for n in STEPS]).encode(),
    }


def _printed() -> dict[str, bytes]:
    megatron = (
        " iteration {n:8}/ 100 | consumed samples: 8 | learning rate: 1.0E-04 | lm loss: {loss:E} | loss scale: 1.0 | "
        "grad norm: 0.5 | number of skipped iterations: 0 | number of nan iterations: 0 |"
    )
    keras = "Epoch {n}/24\n\r 1/10 [==>....] - loss: 1.0\r10/10 [====] - 2s 20ms/step - loss: {loss} - val_loss: 1"
    examples = "| epoch {n:3} |   200/ 2983 batches | lr 20.00 | ms/batch 9.0 | loss {loss:5.2f} | ppl 99"
    script = "[2024-01-01 10:00:{n:02}] Epoch {n}/24: train loss = {loss:.4f}, val loss = {loss:.4f}, acc: 55.1%"
    trainer = "{{'loss': '{loss}', 'grad_norm': '1.0', 'learning_rate': '1e-05', 'epoch': '0.{n:02}'}}"
    patterns = {
        "hf_stdout.txt": trainer,
        "megatron.out": megatron,
        "nanogpt.txt": "iter {n}: loss {loss:.4f}, time 12.30ms, mfu 3.10%",
        "build-nanogpt.txt": "{n} train {loss:.6f}\n{n} val 0.2",
        "modded-nanogpt.txt": "step:{n}/24 val_loss:{loss:.4f} train_time:100ms step_avg:100.0ms",
        "keras_stdout.txt": keras,
        "examples.txt": examples,
        "torchtune.txt": "Step {n} | loss:{loss} lr:0.0001 grad_norm:1.0 tokens_per_second_per_gpu:900",
        "script.txt": script,
    }
    return {name: _lines(lambda n, line=line: line.format(n=n, loss=CURVE[n])) for name, line in patterns.items()}  # type: ignore[misc]


def _stores() -> dict[str, bytes]:
    mlflow = [("loss", CURVE[n], 1_700_000_000_000 + n, "abc", n, 0) for n in STEPS]
    trackio = [("1", f"2024-01-01T10:00:{n:02}", "run", n, json.dumps({"loss": CURVE[n]})) for n in STEPS]
    runs = [("abc", "a run", "FINISHED", "active")]
    return {"mlflow.db": _database({MLFLOW: mlflow, RUNS: runs}), "trackio.db": _database({TRACKIO: trackio})}


def _database(tables: dict[str, list[tuple[object, ...]]]) -> bytes:
    """A SQLite file with these tables."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.db"
        store = sqlite3.connect(file)
        for table, rows in tables.items():
            store.execute(f"CREATE TABLE {table}")
            store.executemany(f"INSERT INTO {table.partition(' ')[0]} VALUES ({', '.join('?' * len(rows[0]))})", rows)
        store.commit()
        store.close()
        return file.read_bytes()
