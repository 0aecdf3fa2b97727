import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(15)
D, HID, MAX_STEPS, PRIOR, BETA = 16, 64, 6, 0.3, 0.01


def parity(n):
    x = torch.zeros(n, D)
    k = torch.randint(1, 4, (n,))
    for i in range(n):
        idx = torch.randperm(D)[: k[i]]
        x[i, idx] = torch.randint(0, 2, (int(k[i]),)).float() * 2 - 1
    return x, ((x == 1).sum(1) % 2).long()


class PonderNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell = nn.GRUCell(D, HID)
        self.out = nn.Linear(HID, 2)
        self.halt = nn.Linear(HID, 1)

    def forward(self, x):
        h = x.new_zeros(len(x), HID)
        alive = x.new_ones(len(x))
        probs, outs = [], []
        for n in range(MAX_STEPS):
            h = self.cell(x, h)
            lam = torch.sigmoid(self.halt(h)).squeeze(1) if n < MAX_STEPS - 1 else torch.ones_like(alive)
            probs.append(alive * lam)
            alive = alive * (1 - lam)
            outs.append(self.out(h))
        return torch.stack(probs), torch.stack(outs)


steps = torch.arange(MAX_STEPS).float()
prior = PRIOR * (1 - PRIOR) ** steps
prior = prior / prior.sum()


def ponder_loss(p, outs, y):
    ce = torch.stack([F.cross_entropy(o, y, reduction="none") for o in outs])
    rec = (p * ce).sum(0).mean()
    kl = (p * ((p + 1e-8).log() - prior[:, None].log())).sum(0).mean()
    return rec + BETA * kl


tx, ty = parity(6000)
vx, vy = parity(1000)
model = PonderNet()
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(8):
    model.train()
    total = 0.0
    for idx in torch.randperm(len(tx)).split(64):
        p, outs = model(tx[idx])
        loss = ponder_loss(p, outs, ty[idx])
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        total += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        p, outs = model(vx)
        acc = ((p[..., None] * outs.softmax(-1)).sum(0).argmax(1) == vy).float().mean()
        mean_steps = (p * (steps + 1)[:, None]).sum(0).mean()
        vl = ponder_loss(p, outs, vy)
    print(f"epoch {epoch} train {total / len(tx):.4f} val {vl:.4f} acc {acc:.3f} steps {mean_steps:.2f}")
