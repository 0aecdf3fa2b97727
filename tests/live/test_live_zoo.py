"""Uncommon uses of torch, each a section of one script: none may notice the recorder, and none may make it complain."""

from __future__ import annotations

import pytest

PREAMBLE = """
import copy, hashlib, io, os, pickle, random, sys, warnings
from torch.utils.checkpoint import checkpoint
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(0)
def sha(*modules):
    tensors = [t.detach().to_dense().numpy() for m in modules for t in m.state_dict().values()]
    return hashlib.sha256(b"".join(t.tobytes() for t in tensors)).hexdigest()[:16]
def mlp(*sizes):
    return nn.Sequential(*[layer for a, b in zip(sizes, sizes[1:]) for layer in (nn.Linear(a, b), nn.Tanh())][:-1])
def data(n=12, width=6, classes=3):
    return torch.randn(n, width), torch.randint(0, classes, (n,))
"""

SECTIONS = {
    "lbfgs": """
        model, (x, y) = mlp(6, 8, 3), data()
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)
        def closure():
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            return loss
        say([optimizer.step(closure).item() for _ in range(3)], sha(model))
    """,
    "scaler": """
        model, (x, y) = mlp(6, 8, 3), data()
        optimizer, scaler = torch.optim.SGD(model.parameters(), lr=0.1), torch.amp.GradScaler("cpu", init_scale=8.0)
        for i in range(4):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_value_(model.parameters(), clip_value=0.1)
            scaler.step(optimizer); scaler.update(); optimizer.zero_grad()
        say(loss.item(), scaler.get_scale(), sha(model))
    """,
    "gan": """
        maker, judge = mlp(4, 8, 6), mlp(6, 8, 1)
        a, b = torch.optim.Adam(maker.parameters()), torch.optim.Adam(judge.parameters())
        for _ in range(4):
            fake = maker(torch.randn(8, 4))
            b.zero_grad()
            (F.binary_cross_entropy_with_logits(judge(torch.randn(8, 6)), torch.ones(8, 1))
             + F.binary_cross_entropy_with_logits(judge(fake.detach()), target=torch.zeros(8, 1))).backward()
            b.step()
            a.zero_grad(); F.binary_cross_entropy_with_logits(judge(fake), torch.ones(8, 1)).backward(); a.step()
        say(sha(maker, judge))
    """,
    "ema-and-checkpoints": """
        model, (x, y) = mlp(6, 8, 3), data()
        ema, best = copy.deepcopy(model), None
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        for _ in range(4):
            optimizer.zero_grad(); F.cross_entropy(model(x), y).backward(); optimizer.step()
            with torch.no_grad():
                for slow, fast in zip(ema.parameters(), model.parameters()):
                    slow.lerp_(fast, 0.1)
            best = copy.deepcopy(model.state_dict())
        file = io.BytesIO()
        torch.save(obj={"model": model.state_dict(), "optimizer": optimizer.state_dict()}, f=file)
        file.seek(0)
        state = torch.load(file)
        model.load_state_dict(state_dict=state["model"], strict=True); optimizer.load_state_dict(state["optimizer"])
        say(sha(model, ema), len(file.getvalue()), copy.deepcopy(x=[1]))
    """,
    "pickled-model": """
        model, (x, y) = mlp(6, 8, 3), data()
        model.criterion = F.cross_entropy
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        for _ in range(3):
            optimizer.zero_grad(); loss = model.criterion(model(x), y); loss.backward(); optimizer.step()
        file = io.BytesIO()
        torch.save(model, file)
        text = pickle.dumps((model, optimizer, loss.detach()))
        say(b"cognate" in file.getvalue(), b"cognate" in text, len(text), pickle.loads(text)[0].criterion is F.cross_entropy)
    """,
    "own-optimizer": """
        class Sign(torch.optim.Optimizer):
            def __init__(self, params, lr):
                super().__init__(params, {"lr": lr})
            @torch.no_grad()
            def step(self, closure=None):
                for group in self.param_groups:
                    for p in group["params"]:
                        p.sub_(p.grad.sign(), alpha=group["lr"])
        model, (x, y) = mlp(6, 8, 3), data()
        optimizer = Sign(model.parameters(), 0.01)
        for _ in range(3):
            optimizer.zero_grad(); F.cross_entropy(model(x), y).backward(); optimizer.step()
        say(sha(model))
    """,
    "user-hooks": """
        model, (x, y), seen = mlp(6, 8, 3), data(), {}
        model[0].register_forward_hook(lambda m, i, o: seen.setdefault("out", []).append(o.mean().item()))
        model[0].register_forward_pre_hook(lambda m, i: (i[0] * 2,))
        model[2].register_full_backward_hook(lambda m, gi, go: seen.setdefault("grad", []).append(go[0].sum().item()))
        model[0].weight.register_hook(lambda g: seen.setdefault("weight", []).append(g.sum().item()))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        optimizer.register_step_post_hook(lambda *a: seen.setdefault("step", []).append(len(seen["out"])))
        for _ in range(4):
            optimizer.zero_grad(); F.cross_entropy(model(x), y).backward(); optimizer.step()
            say(len(seen["out"]), seen["out"][-1])
        say(seen, sha(model))
    """,
    "printing-forward": """
        class Chatty(nn.Module):
            calls = 0
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(6, 3)
            def forward(self, x):
                say("forward", tuple(x.shape)); print("forward", file=sys.stderr); warnings.warn("chatty")
                return self.layer(x)
        model, (x, y) = Chatty(), data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad(); F.cross_entropy(model(x), y).backward(); optimizer.step()
    """,
    "jit": """
        @torch.jit.script
        def scripted(x, y):
            return F.cross_entropy(x, y) + F.mse_loss(x, x * 0.5)
        model, (x, y) = mlp(6, 8, 3), data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad(); scripted(model(x), y).backward(); optimizer.step()
        traced = torch.jit.trace(model, x)
        say(scripted.graph, traced.graph, sha(model))
    """,
    "functional": """
        model, (x, y) = mlp(6, 8, 3), data()
        weights = dict(model.named_parameters())
        def loss_of(weights, x, y):
            return F.cross_entropy(torch.func.functional_call(model, weights, (x[None],)), y[None])
        per_sample = torch.func.vmap(torch.func.grad(loss_of), in_dims=(None, 0, 0))(weights, x, y)
        say({k: v.sum().item() for k, v in per_sample.items()})
        say(torch.fx.symbolic_trace(model).graph)
    """,
    "odd-tensors": """
        class Odd(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed, self.layer = nn.Embedding(20, 6, sparse=True), nn.Linear(6, 3)
            def forward(self, tokens, graph, mask=None, extra=()):
                h = torch.sparse.mm(graph, self.layer(self.embed(tokens)))
                return h.masked_fill(mask, 0.0), torch.fft.fft(h), {"empty": h[:0], "scalar": h.sum(), "half": h.half()}
        model, graph = Odd(), torch.eye(12).to_sparse()
        dense, sparse = torch.optim.SGD(model.layer.parameters(), lr=0.1), torch.optim.SparseAdam(list(model.embed.parameters()))
        for _ in range(4):
            out, spectrum, rest = model(torch.randint(0, 20, (12,)), graph, mask=torch.rand(12, 3) < 0.1, extra=[torch.tensor(3)])
            loss = F.cross_entropy(input=out, target=torch.randint(0, 3, (12,))) + spectrum.abs().mean()
            loss.backward(); dense.step(); sparse.step(); model.zero_grad()
        say(loss.item(), sha(model))
    """,
    "recomputation": """
        class Deep(nn.Module):
            def __init__(self):
                super().__init__()
                self.blocks, self.head = nn.ModuleList(mlp(6, 6, 6) for _ in range(3)), nn.Linear(6, 3)
            def forward(self, x):
                for block in self.blocks:
                    x = checkpoint(block, F.dropout(x, 0.1, self.training), use_reentrant=False)
                return self.head(x)
        model, (x, y) = Deep(), data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(4):
            optimizer.zero_grad(); F.cross_entropy(model(x), y).backward(); optimizer.step()
        say(sha(model))
    """,
    "double-backward": """
        judge = mlp(6, 8, 1)
        optimizer = torch.optim.Adam(judge.parameters())
        for _ in range(3):
            x = torch.randn(8, 6, requires_grad=True)
            slope, = torch.autograd.grad(judge(x).sum(), x, create_graph=True)
            loss = F.mse_loss(slope.norm(dim=1), torch.ones(8))
            optimizer.zero_grad(); loss.backward(retain_graph=True); optimizer.step()
        torch.autograd.backward(tensors=[judge(x).sum(), judge(x).mean()])
        say(loss.item(), sha(judge))
    """,
    "list-dataset": """
        from torch.utils.data import DataLoader, IterableDataset
        class Stream(IterableDataset):
            def __iter__(self):
                return iter([{"x": torch.full((2,), float(i)), "name": str(i)} for i in range(5)])
        pairs = [(torch.full((6,), float(i)), i % 3) for i in range(8)]
        for batch in DataLoader(pairs, batch_size=4, shuffle=True):
            say(batch)
        for batch in DataLoader(Stream(), batch_size=2):
            say(batch)
    """,
    "warnings": """
        model, (x, y) = mlp(6, 8, 3), data()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 3)
        scheduler.step()
        F.mse_loss(model(x), torch.zeros(12, 1)).backward()
        F.kl_div(model(x), model(x), log_target=True).backward()
        optimizer.step()
    """,
    "rare-tensors": """
        def train(model, *given):
            optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
            for _ in range(2):
                optimizer.zero_grad(); model(*given).abs().sum().backward(); optimizer.step()
            say(model)
        with torch.device("meta"):
            nn.Linear(4, 4).eval()(torch.ones(2, 4))
        train(nn.Linear(4, 4, dtype=torch.complex64), torch.ones(2, 4, dtype=torch.complex64))
        train(nn.Linear(4, 4, dtype=torch.bfloat16), torch.ones(2, 4, dtype=torch.bfloat16))
        train(nn.LazyLinear(3), torch.ones(2, 4))
        train(nn.Linear(4, 3), torch.ones(0, 4))
        nn.Linear(4, 2)(torch.nested.nested_tensor([torch.ones(2, 4), torch.ones(3, 4)]))
        F.cross_entropy(torch.randn(3, requires_grad=True), torch.tensor(1))
        F.cross_entropy(torch.randn(0, 3, requires_grad=True), torch.zeros(0, dtype=torch.long), reduction="sum")
    """,
    "caught-crash": """
        model, (x, y) = mlp(6, 8, 3), data()
        for attempt in (x[:, :5], x):
            try:
                F.cross_entropy(model(attempt), y).backward()
            except RuntimeError as error:
                say(str(error))
        try:
            F.cross_entropy(model(x), y[:4])
        except ValueError as error:
            say(str(error))
    """,
    "compiled": """
        model, (x, y) = mlp(6, 8, 3), data()
        fast = torch.compile(model, backend="eager")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        @torch.compile(backend="eager", fullgraph=True)
        def loss_of(x, y):
            with torch.no_grad():
                x = x * 1.0
            return F.cross_entropy(fast(x), y)
        for _ in range(4):
            optimizer.zero_grad(); loss = loss_of(x, y); loss.backward(); optimizer.step()
        fast.eval()
        with torch.no_grad():
            say(loss.item(), fast(x).sum().item(), sha(model))
    """,
}


def body() -> str:
    lines = [PREAMBLE]
    for name, text in SECTIONS.items():
        lines.append(f"def section():\n    def say(*words):\n        print({name!r} + ':', *words)\n    globals()['say'] = say")
        lines.append("\n".join(line[4:] for line in text.splitlines()))
        lines.append("    say('rng', torch.rand(1).item())\nsection()")
    return "\n".join(lines)


@pytest.fixture(scope="module")
def zoo(new_patient):
    patient = new_patient(body())
    return patient.plain(), patient.observed()


@pytest.mark.parametrize("name", sorted(SECTIONS))
def test_a_section_prints_the_same(zoo, name):
    plain = zoo[0]
    lines = [[line for line in run.stdout.split("\n") if line.startswith(f"{name}:")] for run in zoo]
    assert plain.code == 0, plain.stderr
    assert lines[0] == lines[1] and lines[0]


def test_the_whole_script_ends_the_same(zoo):
    plain, observed = zoo
    assert (observed.code, observed.stdout) == (plain.code, plain.stdout)


def test_the_recorder_had_nothing_to_complain_of(zoo):
    plain, observed = zoo
    assert observed.case.info["integrity"]["errors"] == []
    assert observed.stderr == plain.stderr


def test_two_optimizers_are_told_apart(zoo):
    rows = zoo[1].case.metrics
    assert len({row["optimizer"] for row in rows}) >= 8


def test_what_probes_could_not_do_is_said(zoo):
    case = zoo[1].case
    assert all(row.get("reason") or row["status"] == "ok" for row in case.probes)
