import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from cognate.errors import UsageError
from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train.batch import IGNORED
from cognate.train.objective import LanguageModelling

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
TINY = preset("tiny", width=48, heads=2, layers=2, feed_forward=64, memory_width=16, window=16)


@pytest.fixture(scope="module", autouse=True)
def importable():
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def lesson():
    import learn

    config, found = learn.arithmetic_lesson(seed=0, quick=True)
    options = replace(found.options, steps=2, evaluate_every=1)
    return replace(TINY, vocabulary=config.vocabulary), replace(found, options=options, problems=3, limit=6)


def plain_model(**changes):
    from learners.plain import PlainModel

    return PlainModel(replace(TINY, **changes)).eval()


def batch():
    from learners.course import corpus_of

    _, of = lesson()
    return corpus_of(of.data, of.vocabulary).train.batch(range(4))


def test_the_plain_model_does_not_see_the_future():
    model = plain_model()
    tokens = torch.randint(512, (2, 24), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 15:] = (changed[:, 15:] + 1) % 512
    positions = torch.arange(24)
    before, after = model(tokens, positions), model(changed, positions)
    assert torch.equal(before[:, :15], after[:, :15])
    assert not torch.equal(before[:, 15:], after[:, 15:])


def test_the_plain_model_decodes_what_the_full_forward_says():
    model, tokens = plain_model(), torch.randint(512, (2, 30), generator=torch.Generator().manual_seed(1))
    full = model.decide(tokens)
    cache = model.new_cache()
    parts = [model.decide(tokens[:, :20], cache).logits]
    parts += [model.decide(tokens[:, at : at + 1], cache).logits for at in range(20, 30)]  # beyond the window of 16
    torch.testing.assert_close(torch.cat(parts, 1), full.logits, rtol=1e-5, atol=1e-5)
    assert (full.answers_used == 1).all()


def test_the_plain_task_is_the_cross_entropy_of_scored_tokens():
    from learners.plain import NextToken

    model, rows = plain_model(), batch()
    logits = F.linear(model(rows.tokens, rows.positions, rows.documents), model.backbone.token_embedding.weight)
    expected = F.cross_entropy(logits.flatten(0, 1), rows.targets.flatten(), ignore_index=IGNORED, reduction="sum")
    found, sums = NextToken().loss(model, rows)
    torch.testing.assert_close(found, expected)
    assert found.item() == sums["loss"].item() and NextToken().weight(rows) == rows.scored


def test_operations_are_those_of_the_matrix_products():
    from learners.size import flops

    from cognate.train.fused_loss import linear_cross_entropy

    features, head = torch.randn(5, 3, requires_grad=True), torch.randn(7, 3, requires_grad=True)
    targets, ones = torch.zeros(5, dtype=torch.long), torch.ones(5)
    # Logits, and the gradients of features and head: three products.
    assert flops(lambda: linear_cross_entropy(features, head, targets, ones)) == 3 * 2 * 5 * 3 * 7
    queries = torch.randn(1, 2, 6, 4)
    assert flops(lambda: F.scaled_dot_product_attention(queries, queries, queries, is_causal=True)) == 2 * 2 * 2 * 6 * 6 * 4


def test_the_plain_models_cost_what_the_reference_does():
    from learners.plain import NextToken, PlainModel
    from learners.size import equal_flops, equal_parameters, parameters, training_flops

    rows, config = batch(), preset("tiny")
    reference = CognateModel(config)
    wanted = training_flops(reference, LanguageModelling(), rows)
    assert all(parameter.grad is None for parameter in reference.parameters())
    same_size = PlainModel(equal_parameters(config, parameters(reference)))
    assert parameters(same_size) == pytest.approx(parameters(reference), rel=0.01)
    same_work = PlainModel(equal_flops(config, wanted, rows))
    assert training_flops(same_work, NextToken(), rows) == pytest.approx(wanted, rel=0.02)
    assert parameters(same_work) > parameters(reference)


@pytest.mark.parametrize("name", ["reference", "equal parameters"])
def test_a_course_says_what_was_learnt_and_can_be_repeated(name):
    from learners.course import course

    config, of = lesson()
    found = course(name, config, of)
    assert [point["tokens"] for point in found["points"]] == [8 * 128, 2 * 8 * 128]
    assert all(0 < point["loss"] < 7 and 0 <= point["exact_match"] <= 1 for point in found["points"])
    assert course(name, config, of)["points"] == found["points"]
    assert json.loads(json.dumps(found)) == found
    if name == "reference":
        halting = found["thinking"]
        assert halting["no early exit"]["answers_used"] == config.answers and halting["no early exit"]["flops_saved"] == 0
        assert halting["speed"]["answers_used"] <= halting["memory"]["answers_used"] <= halting["reasoning"]["answers_used"]
        assert halting["speed"]["flops_saved"] > 0


def test_the_table_holds_every_model_and_threshold(capsys):
    import learn
    from learners.course import course

    config, of = lesson()
    learn.show("arithmetic:mixed", {name: course(name, config, of) for name in ("reference", "equal operations")})
    printed = capsys.readouterr().out
    for said in ("reference", "equal operations", "2,048", "no early exit", "reasoning (0.9)", "speed (0.3)"):
        assert said in printed


def test_problems_of_the_commonest_lengths_are_examined():
    from learners.course import corpus_of
    from learners.exam import examination

    _, of = lesson()
    corpus = corpus_of(of.data, of.vocabulary)
    exam = examination(corpus, problems=100, lengths=1, limit=6)
    assert len({len(exam.encode(problem.prompt)) for problem in exam.problems}) == 1
    assert examination(corpus, problems=5, lengths=None, limit=6).problems == corpus.problems[:5]
    with pytest.raises(UsageError, match="holds no problems"):
        examination(replace(corpus, problems=()), problems=5, lengths=None, limit=6)


def test_gsm8k_is_read_from_its_folder_in_rows_that_hold_it(tmp_path):
    import learn
    from learners.course import corpus_of

    for name, count in (("train", 40), ("test", 6)):
        rows = [
            {
                "question": f"Ann has {n} {name} pens and buys 3. How many?",
                "answer": f"{n}+3=<<{n}+3={n + 3}>>{n + 3}\n#### {n + 3}",
            }
            for n in range(count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    config, of = learn.gsm8k_lesson(tmp_path, seed=0, quick=False)
    assert of.options.effective_batch * of.data.sequence == 128 * learn.arithmetic_lesson(0, False)[1].options.effective_batch
    assert config.positions == of.data.sequence == 512
    assert len(corpus_of(of.data, of.vocabulary).problems) == 6


def test_a_folder_without_gsm8k_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys):
    import learn

    monkeypatch.setattr(sys, "argv", ["learn.py", "--gsm8k", str(tmp_path)])
    with pytest.raises(SystemExit) as stopped:
        learn.main()
    assert stopped.value.code == 2
    assert "train.jsonl" in capsys.readouterr().err
