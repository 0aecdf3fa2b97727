# next-symbol model over fixed context windows
import torch
from torch import nn

torch.manual_seed(1)
V, CTX, D = 32, 4, 48
rule = torch.randint(0, V, (V, V))


def stream(n):
    s = [1, 2]
    noise = torch.rand(n)
    rnd = torch.randint(0, V, (n,))
    for i in range(n):
        s.append(int(rnd[i]) if noise[i] < 0.1 else int(rule[s[-1], s[-2] % 4]))
    return torch.tensor(s)


text = stream(9000)
held = stream(1500)


def windows(t):
    w = t.unfold(0, CTX + 1, 1)
    return w[:, :-1], w[:, -1]


class WindowLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(V, D)
        self.inp = nn.Linear(CTX * D, 160)
        self.out = nn.Linear(160, V)

    def forward(self, c):
        return self.out(torch.relu(self.inp(self.tok(c).flatten(1))))


settings = {"dtype": torch.float32, "lr": 1e-4, "epochs": 6, "bs": 50}
lm = WindowLM().to(settings["dtype"])
opt = torch.optim.AdamW(lm.parameters(), lr=settings["lr"], weight_decay=0.0)
ctx, nxt = windows(text)
hc, hn = windows(held)
for epoch in range(settings["epochs"]):
    tot = 0.0
    for b in torch.randperm(len(ctx)).split(settings["bs"]):
        loss = nn.functional.cross_entropy(lm(ctx[b]).float(), nxt[b])
        opt.zero_grad()
        loss.backward()
        opt.step()
        tot += loss.item() * len(b)
    with torch.no_grad():
        ev = nn.functional.cross_entropy(lm(hc).float(), hn)
    print(f"epoch {epoch} train {tot / len(ctx):.4f} held-out {ev:.4f}")
