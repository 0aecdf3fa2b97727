"""Deeply supervised GRU stack, auxiliary losses fade out during training."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(40)
LAYERS, HID, SYM, LEN, CLS = 3, 40, 9, 14, 4
STEPS, FADE = 450, 300


def problems(n, seed):
    # stack machine light: 0-3 push a colour, 4 pops, others do nothing; report the colour on top (never empty)
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, SYM, (n, LEN), generator=g)
    x[:, 0] = torch.randint(0, CLS, (n,), generator=g)
    y = []
    for row in x.tolist():
        stack = []
        for s in row:
            if s < CLS:
                stack.append(s)
            elif s == CLS and len(stack) > 1:
                stack.pop()
        y.append(stack[-1])
    return x, torch.tensor(y)


class DeepGRU(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(SYM, HID)
        self.layers = nn.ModuleList(nn.GRU(HID, HID, batch_first=True) for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(HID) for _ in range(LAYERS))
        self.heads = nn.ModuleList(nn.Linear(HID, CLS) for _ in range(LAYERS))

    def forward(self, x):
        h, outs = self.emb(x), []
        for gru, norm, head in zip(self.layers, self.norms, self.heads):
            h = norm(h + gru(h)[0])
            outs.append(head(h[:, -1]))
        return outs


train, val = problems(5000, 0), problems(500, 1)
model = DeepGRU()
opt = torch.optim.AdamW(model.parameters(), lr=4e-3)
for step in range(1, STEPS + 1):
    i = torch.randint(5000, (64,))
    x, y = train[0][i], train[1][i]
    outs = model(x)
    aux_w = 0.5 * max(0.0, 1.0 - step / FADE)
    main = F.cross_entropy(outs[-1], y)
    aux = sum(F.cross_entropy(o, y) for o in outs[:-1]) / (LAYERS - 1)
    loss = main + aux_w * aux
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if step % 75 == 0:
        model.eval()
        with torch.no_grad():
            v = model(val[0])
        model.train()
        accs = "/".join(f"{(o.argmax(1) == val[1]).float().mean():.3f}" for o in v)
        print(f"{step:4d} aux weight {aux_w:.3f} main {main.item():.4f} aux {float(aux):.4f} val acc by layer {accs}")
