"""Message passing on a ring: each cell has a distribution over when to stop."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(44)
CELLS, WIDTH, LIMIT, COST = 8, 40, 5, 0.004


def rings(n, generator=None):
    """A cell holds a bit and a range; the answer is the parity of the bits within that range to its left."""
    bit = torch.randint(0, 2, (n, CELLS), generator=generator)
    reach = torch.randint(0, 3, (n, CELLS), generator=generator)
    answer = bit.clone()
    for back in (1, 2):
        answer = answer ^ torch.where(reach >= back, bit.roll(back, 1), torch.zeros_like(bit))
    return bit, reach, answer


class RingNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.bit, self.reach = nn.Embedding(2, WIDTH), nn.Embedding(3, WIDTH)
        self.cell = nn.GRUCell(2 * WIDTH, WIDTH)
        self.stop, self.read = nn.Linear(WIDTH, 1), nn.Linear(WIDTH, 2)

    def forward(self, bit, reach, limit=LIMIT):
        given = self.bit(bit) + self.reach(reach)
        state = torch.tanh(given)
        left = torch.ones(bit.shape)
        total = torch.zeros_like(state)
        steps = torch.zeros(bit.shape)
        for n in range(limit):
            seen = torch.cat([state.roll(1, 1), given], -1)
            state = self.cell(seen.flatten(0, 1), state.flatten(0, 1)).view_as(state)
            p = torch.sigmoid(self.stop(state)).squeeze(-1)
            if n == limit - 1:
                p = torch.ones_like(p)
            total = total + (left * p)[..., None] * state
            steps = steps + left
            left = left * (1 - p)
        return self.read(total), steps


net = RingNet()
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
test = rings(400, torch.Generator().manual_seed(1))
for it in range(1, 181):
    bit, reach, answer = rings(64)
    logits, steps = net(bit, reach)
    task = F.cross_entropy(logits.flatten(0, 1), answer.flatten())
    loss = task + COST * steps.mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    if it % 20 == 0:
        with torch.no_grad():
            out, used = net(test[0], test[1])
        right = out.argmax(-1) == test[2]
        print(f"it {it} task {task.item():.4f} cells {right.float().mean():.3f} rows {right.all(1).float().mean():.3f} steps {used.mean():.2f}")
