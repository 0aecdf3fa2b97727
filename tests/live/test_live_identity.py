"""Observed and plain, a script computes the same: printed lines, weights, random streams, bit for bit."""

from __future__ import annotations

import pytest

# Each script ends by `fingerprint()`: a hash over all parameters, buffers, optimizer states and random streams.
PREAMBLE = """
import copy, hashlib, io, math, random, sys
import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

def seed(n):
    random.seed(n); np.random.seed(n); torch.manual_seed(n)

def fingerprint(*models):
    digest = hashlib.sha256()
    for model in models:
        for name, tensor in sorted(model.state_dict().items()):
            digest.update(name.encode()); digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    digest.update(torch.get_rng_state().numpy().tobytes())
    digest.update(repr(random.getstate()).encode())
    digest.update(repr(np.random.get_state()).encode())
    return digest.hexdigest()

def close(*models):
    with open(sys.argv[1], "w") as file:
        file.write(fingerprint(*models))
    # The streams go on where they are: what is drawn next is the same too.
    print(torch.rand(2).tolist(), random.random(), np.random.rand())
"""

MLP = """
seed(1)
x = torch.randn(96, 10)
y = (x[:, 0] > 0).long() + (x[:, 1] > 0).long()
loader = DataLoader(TensorDataset(x, y), batch_size=16, shuffle=True, num_workers=2)
model = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
criterion = nn.CrossEntropyLoss()
for epoch in range(4):
    for batch, labels in loader:
        optimizer.zero_grad()
        loss = criterion(model(batch), labels)
        loss.backward()
        optimizer.step()
        print(f"epoch {epoch} loss {loss.item()!r}")
close(model)
"""

CNN = """
seed(2)
model = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.2), nn.MaxPool2d(2),
                      nn.Flatten(), nn.Dropout(0.3), nn.Linear(6 * 16, 4))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=12)
images, labels = torch.randn(64, 1, 8, 8), torch.randint(0, 4, (64,))
validation = torch.randn(16, 1, 8, 8)
for step in range(24):
    model.train()
    rows = torch.randint(0, 64, (16,))
    optimizer.zero_grad(set_to_none=True)
    loss = F.cross_entropy(model(images[rows]), labels[rows])
    loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), max_norm=0.5)
    optimizer.step()
    scheduler.step()
    model.eval()
    with torch.no_grad():
        seen = model(validation)
    print(step, repr(loss.item()), repr(norm.item()), scheduler.get_last_lr(), repr(seen.sum().item()))
close(model)
"""

LSTM = """
seed(3)
class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 12)
        self.lstm = nn.LSTM(12, 16, num_layers=2, dropout=0.2, batch_first=True)
        self.head = nn.Linear(16, 1)
    def forward(self, tokens):
        hidden, _ = self.lstm(self.embed(tokens))
        return self.head(hidden[:, -1]).squeeze(-1)
model = Tagger()
optimizer = torch.optim.RMSprop([{"params": model.lstm.parameters()}, {"params": model.head.parameters(), "lr": 1e-2},
                                 {"params": model.embed.parameters()}], lr=1e-3)
criterion = nn.BCEWithLogitsLoss()
for step in range(25):
    tokens = torch.from_numpy(np.random.randint(0, 20, (8, 9)))
    labels = (tokens.float().mean(1) > 9.5).float()
    optimizer.zero_grad()
    loss = criterion(model(tokens), labels)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if random.random() < 0.5:
        print(step, repr(loss.item()))
close(model)
"""

GPT = """
seed(4)
class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1))
    def forward(self, x):
        batch, time, width = x.shape
        q, k, v = (t.view(batch, time, self.heads, -1).transpose(1, 2) for t in self.qkv(self.norm1(x)).chunk(3, -1))
        p = 0.1 if self.training else 0.0
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, dropout_p=p)
        x = x + self.out(y.transpose(1, 2).reshape(batch, time, width))
        return x + self.mlp(self.norm2(x))
class GPT(nn.Module):
    def __init__(self, vocabulary=32, width=32, length=16):
        super().__init__()
        self.token, self.place = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, 4) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        self.head.weight = self.token.weight
    def forward(self, tokens, targets=None):
        x = self.token(tokens) + self.place(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.head(self.norm(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)
text = torch.randint(0, 32, (600,)).cumsum(0) % 32
def batch(split):
    part = text[:500] if split == "train" else text[500:]
    at = torch.randint(len(part) - 17, (8,))
    return torch.stack([part[i:i + 16] for i in at]), torch.stack([part[i + 1:i + 17] for i in at])
model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1)
for step in range(45):
    if step % 10 == 0:
        model.eval()
        with torch.no_grad():
            print("val", [repr(model(*batch("val"))[1].item()) for _ in range(3)])
        model.train()
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * min(1.0, (step + 1) / 5)
    for micro in range(2):
        logits, loss = model(*batch("train"))
        (loss / 2).backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    print(step, repr(loss.item()))
model.eval()
tokens = torch.zeros(1, 1, dtype=torch.long)
for _ in range(15):
    with torch.no_grad():
        share = F.softmax(model(tokens)[0][:, -1] / 0.8, -1)
    tokens = torch.cat([tokens, torch.multinomial(share, 1)], 1)
print(tokens.tolist())
close(model)
"""

# In evaluation nn.TransformerEncoder takes a fused path that hooks and function modes may turn off, with other rounding.
ENCODER = """
seed(5)
class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 16, padding_idx=0)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 3)
    def forward(self, tokens):
        padding = tokens == 0
        hidden = self.encoder(self.embed(tokens), src_key_padding_mask=padding)
        return self.head(hidden.masked_fill(padding[..., None], 0.0).sum(1))
model = Classifier()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
tokens = torch.randint(1, 30, (40, 10))
tokens[:20, 7:] = 0
labels = torch.randint(0, 3, (40,))
for step in range(20):
    model.train()
    rows = torch.randperm(40)[:10]
    loss = F.cross_entropy(model(tokens[rows]), labels[rows])
    optimizer.zero_grad(); loss.backward(); optimizer.step()
    model.eval()
    with torch.inference_mode():
        print(step, repr(loss.item()), [repr(v) for v in model(tokens[:20]).double().sum(0).tolist()])
close(model)
"""

SCRIPTS = {"mlp": MLP, "cnn": CNN, "lstm": LSTM, "gpt": GPT, "encoder": ENCODER}


@pytest.fixture(scope="module", params=sorted(SCRIPTS))
def pair(request, new_patient):
    """The script run plain and observed, and the fingerprints that it left."""
    patient = new_patient(PREAMBLE + SCRIPTS[request.param])
    runs = patient.plain("plain.sha"), patient.observed("observed.sha")
    hashes = [(patient.folder / name).read_text() for name in ("plain.sha", "observed.sha")]
    return request.param, runs, hashes


def test_stdout_is_the_same_byte_for_byte(pair):
    _, (plain, observed), _ = pair
    assert plain.code == 0, plain.stderr
    assert observed.stdout == plain.stdout and plain.stdout


def test_stderr_and_exit_code_are_the_same(pair):
    _, (plain, observed), _ = pair
    assert (observed.code, observed.stderr) == (plain.code, plain.stderr)


def test_weights_and_random_streams_are_the_same_bit_for_bit(pair):
    _, _, (plain, observed) = pair
    assert observed == plain


def test_the_run_was_observed_to_its_end(pair):
    _, (_, observed), _ = pair
    integrity = observed.case.info["integrity"]
    assert integrity["finished"] and integrity["errors"] == []
    assert integrity["steps_seen"] >= 20
    assert [row["step"] for row in observed.case.metrics] == list(range(integrity["steps_seen"]))
    assert observed.case.model["roots"] and observed.case.trace and observed.case.layers
    assert {row["probe"] for row in observed.case.probes if row["status"] == "ok"} >= {"gradient_reach", "small_step"}


def test_the_printed_loss_is_the_recorded_loss(pair):
    name, (plain, observed), _ = pair
    if name == "gpt":  # two micro-batches a step: the printed loss is one of them
        recorded = [row["value"] for row in observed.case.events("loss_call", grad=True)]
    else:
        recorded = [row["loss"] for row in observed.case.metrics]
    words = plain.stdout.replace("'", " ").split()
    printed = {round(float(word), 12) for word in words if word.replace(".", "").replace("e-", "").isdigit() and "." in word}
    assert {round(value, 12) for value in recorded[:8]} & printed


def test_causal_language_model_is_proved_causal(pair):
    name, (_, observed), _ = pair
    found = observed.case.probe("causality")
    if name == "gpt":
        assert found[0]["result"]["before"] == 0.0 and found[0]["result"]["after"] > 0
    else:
        assert found == [] and observed.case.probe_reason("causality")
