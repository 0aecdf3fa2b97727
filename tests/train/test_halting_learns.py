"""After training on problems of mixed difficulty, tokens stop at different answers, and stopping saves work."""

from __future__ import annotations

from pathlib import Path

import torch

from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train.data.corpus import DataOptions, load
from cognate.train.loop import fit
from cognate.train.objective import LanguageModelling
from cognate.train.options import TrainOptions
from cognate.train.summary import inference


def test_tokens_stop_at_different_answers_after_training(tmp_path: Path) -> None:
    corpus = load(DataOptions("arithmetic:mixed", sequence=96, limit=3_000), 300)
    config = preset("tiny", None, vocabulary=300, width=32, heads=2, layers=2, feed_forward=64, memory_width=16)
    model = CognateModel(config)
    before = model.halting_head.weight.detach().clone()
    options = TrainOptions(steps=150, micro_batch=8, effective_batch=8, learning_rate=1e-2, checkpoint_every=0, patience=0)
    outcome = fit(model, LanguageModelling(), corpus.train, corpus.validation, options, tmp_path)
    found = outcome.validation
    assert found is not None
    assert found["loss"] < 2.5, "it learnt something"
    assert not torch.equal(before, model.halting_head.weight)
    shares = [found[f"stopped_at_{number}"] for number in range(1, 5)]
    assert sum(share > 0.05 for share in shares) >= 2, shares
    assert found["answers_used_squared"] - found["answers_used"] ** 2 > 0.1
    used = inference(model.eval(), corpus)
    assert used["answers_used_deviation"] > 0
    assert used["flops_saved"] > 0.05
