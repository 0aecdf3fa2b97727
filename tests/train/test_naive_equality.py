import importlib.util
from pathlib import Path

import pytest
import torch

from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train import optim
from cognate.train.batch import IGNORED, Batch
from cognate.train.objective import LanguageModelling
from cognate.train.options import TrainOptions

NAIVE = Path(__file__).parents[2] / "benchmarks" / "trainers" / "naive.py"


@pytest.fixture(scope="module")
def naive():
    spec = importlib.util.spec_from_file_location("naive_reference", NAIVE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def model_of(**changes):
    model = CognateModel(preset("tiny", **changes))
    with torch.no_grad():  # tokens that stop at different answers, so that the halting terms are worth something
        model.halting_head.weight.normal_(0, 0.3, generator=torch.Generator().manual_seed(3))
    return model


def plain(tokens=40):
    drawn = torch.randint(512, (3, tokens + 1), generator=torch.Generator().manual_seed(1))
    positions = torch.arange(tokens).expand(3, tokens)
    return Batch(drawn[:, :-1], drawn[:, 1:], positions, None, 3 * tokens)


def padded():
    batch = plain()
    targets = batch.targets.clone()
    targets[0, 25:] = IGNORED
    targets[1, :10] = IGNORED
    targets[2] = IGNORED
    return Batch(batch.tokens, targets, batch.positions, None, int((targets != IGNORED).sum()))


def packed():
    batch = plain(70)
    borders = torch.tensor([[30, 50], [33, 34], [64, 69]])
    at = torch.arange(70)
    documents = (at[None, :, None] >= borders[:, None, :]).sum(-1)
    first = torch.where(documents == 0, 0, borders.gather(1, (documents - 1).clamp(min=0)))
    targets = batch.targets.clone()
    targets[:, :-1][documents[:, 1:] != documents[:, :-1]] = IGNORED
    return Batch(batch.tokens, targets, at - first, documents, int((targets != IGNORED).sum()))


def objective_and_gradients(objective, model, batch):
    model.zero_grad()
    value = objective(model, batch) / batch.scored
    value.backward()
    return value.detach(), {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


CASES = {
    "one document a row": (plain, {}),
    "padding and prompts": (padded, {}),
    "packed documents": (packed, {}),
    "window shorter than the row": (plain, {"window": 16}),
    "one step": (plain, {"steps": 1, "supervision": (0.5, 1.0)}),
}


@pytest.mark.parametrize("case", CASES)
def test_objective_and_gradients_equal_the_naive_ones(naive, case):
    batch_of, changes = CASES[case]
    model, batch = model_of(**changes), batch_of()
    ours, gradients = objective_and_gradients(lambda m, b: LanguageModelling().loss(m, b)[0], model, batch)
    theirs, expected = objective_and_gradients(naive.objective, model, batch)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    largest = max(gradient.abs().max() for gradient in expected.values())
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).abs().max() <= 1e-5 * largest, name
        assert torch.linalg.vector_norm(gradients[name] - gradient) <= 1e-4 * torch.linalg.vector_norm(gradient) + 1e-7, name


def test_the_naive_optimizer_makes_the_same_steps(naive):
    options, models = TrainOptions(learning_rate=1e-3), [model_of(), model_of()]
    optimizers = [optim.build(models[0], options)["adamw"], naive.optimizer(models[1], options)]
    generator = torch.Generator().manual_seed(2)
    for _ in range(3):
        # Drawn: the true gradient of a key's bias is zero, and Adam would blow its rounding up.
        for pair in zip(*(model.parameters() for model in models), strict=True):
            gradient = torch.randn(pair[0].shape, generator=generator)
            for parameter in pair:
                parameter.grad = gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    for (name, ours), theirs in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, msg=name)
