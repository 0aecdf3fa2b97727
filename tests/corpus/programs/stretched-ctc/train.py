# CTC: read a noisy stretched sequence of symbols, output the symbols without alignment.
import random
import torch
import torch.nn as nn

random.seed(0)
torch.manual_seed(0)
N_SYM, FEAT = 6, 12
proto = torch.randn(N_SYM + 1, FEAT)  # row 0: silence


def make(n):
    out = []
    for _ in range(n):
        L = random.randint(2, 5)
        lab = [random.randint(1, N_SYM) for _ in range(L)]
        frames = []
        for s in lab:
            frames += [s] * random.randint(2, 4) + [0] * random.randint(1, 2)
        x = proto[torch.tensor(frames)] + 0.3 * torch.randn(len(frames), FEAT)
        out.append((x, torch.tensor(lab)))
    return out


def collate(items):
    xs, ys = zip(*items)
    xl = torch.tensor([len(x) for x in xs])
    yl = torch.tensor([len(y) for y in ys])
    return nn.utils.rnn.pad_sequence(xs, batch_first=True), torch.cat(ys), xl, yl


class Recognizer(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(FEAT, 48, 3, padding=1)
        self.rnn = nn.GRU(48, 48, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(96, N_SYM + 1)

    def forward(self, x):
        h = torch.relu(self.conv(x.transpose(1, 2))).transpose(1, 2)
        h, _ = self.rnn(h)
        return self.fc(h).log_softmax(-1)


def greedy(lp, n):
    best = lp[:n].argmax(-1).tolist()
    return [b for i, b in enumerate(best) if b != 0 and (i == 0 or b != best[i - 1])]


train, test = make(800), make(100)
loader = torch.utils.data.DataLoader(train, batch_size=32, shuffle=True, collate_fn=collate)
net = Recognizer()
ctc = nn.CTCLoss(blank=0, zero_infinity=True)
optim = torch.optim.Adam(net.parameters(), lr=4e-3)
for epoch in range(8):
    net.train()
    losses = []
    for x, y, xl, yl in loader:
        lp = net(x).transpose(0, 1)  # CTC wants (T, B, C)
        loss = ctc(lp, y, xl, yl)
        optim.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optim.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        ok = sum(greedy(net(x[None])[0], len(x)) == y.tolist() for x, y in test)
    print(f"epoch {epoch + 1}: ctc {sum(losses) / len(losses):.4f}, exact match {ok}/100")
