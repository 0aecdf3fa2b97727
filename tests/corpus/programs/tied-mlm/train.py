# Masked language model, transformer encoder with key_padding_mask and tied output embedding.
import math
import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, MASK, OFFSET, NW = 0, 1, 2, 8
V = NW + OFFSET
torch.manual_seed(21)


def corpus(n, seed):
    g = torch.Generator().manual_seed(seed)
    L = torch.randint(8, 17, (n,), generator=g)
    start = torch.randint(0, NW, (n, 1), generator=g)
    stride = torch.randint(1, 3, (n, 1), generator=g)
    ids = (start + stride * torch.arange(16)) % NW + OFFSET
    ids[torch.arange(16)[None] >= L[:, None]] = PAD
    return ids


def mask_tokens(ids, p=0.2):
    labels = ids.clone()
    chosen = (torch.rand(ids.shape) < p) & (ids != PAD)
    labels[~chosen] = -100
    inp = ids.clone()
    r = torch.rand(ids.shape)
    inp[chosen & (r < 0.8)] = MASK
    rnd = chosen & (r >= 0.8) & (r < 0.9)
    inp[rnd] = torch.randint(OFFSET, V, (int(rnd.sum()),))
    return inp, labels


class MLM(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.tok = nn.Embedding(V, d, padding_idx=PAD)
        self.pos = nn.Embedding(16, d)
        layer = nn.TransformerEncoderLayer(d, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(d), enable_nested_tensor=False)
        self.transform = nn.Sequential(nn.Linear(d, d), nn.GELU(), nn.LayerNorm(d))
        self.decoder = nn.Linear(d, V)
        self.decoder.weight = self.tok.weight
        nn.init.normal_(self.tok.weight, std=1 / math.sqrt(d))
        with torch.no_grad():
            self.tok.weight[PAD].zero_()

    def forward(self, ids):
        h = self.tok(ids) + self.pos(torch.arange(ids.size(1)))
        return self.decoder(self.transform(self.enc(h, src_key_padding_mask=ids == PAD)))


model = MLM()
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.98), weight_decay=0.01)
STEPS = 360
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min((s + 1) / 40, max(0.0, (STEPS - s) / (STEPS - 40))))
data, heldout = corpus(3000, 1), corpus(300, 2)
for step in range(STEPS):
    model.train()
    inp, lab = mask_tokens(data[torch.randint(0, len(data), (32,))])
    loss = F.cross_entropy(model(inp).view(-1, V), lab.view(-1), ignore_index=-100)
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    sched.step()
    if step % 40 == 0 or step == STEPS - 1:
        model.eval()
        with torch.no_grad():
            inp, lab = mask_tokens(heldout)
            m = lab != -100
            acc = (model(inp).argmax(-1)[m] == lab[m]).float().mean().item()
        print(f"step {step} mlm loss {loss.item():.4f} masked acc {acc:.3f}")
