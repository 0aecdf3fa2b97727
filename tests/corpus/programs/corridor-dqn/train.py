import random
from collections import deque
import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(0)
torch.manual_seed(0)


class Corridor:
    """Walk on a line of 9 cells; reach the right end."""

    def reset(self):
        self.pos, self.t = random.randint(1, 4), 0
        return self.obs()

    def obs(self):
        return F.one_hot(torch.tensor(self.pos), 9).float()

    def step(self, a):
        self.pos = max(0, min(8, self.pos + (1 if a == 1 else -1)))
        self.t += 1
        done = self.pos in (0, 8)
        reward = 1.0 if self.pos == 8 else (-1.0 if self.pos == 0 else -0.02)
        return self.obs(), reward, done, self.t >= 40


def qnet():
    return nn.Sequential(nn.Linear(9, 64), nn.ReLU(), nn.Linear(64, 2))


env, q, target = Corridor(), qnet(), qnet()
target.load_state_dict(q.state_dict())
for p in target.parameters():
    p.requires_grad_(False)
optimizer = torch.optim.Adam(q.parameters(), lr=1e-3)
buffer = deque(maxlen=5000)
gamma, eps, steps, returns = 0.97, 1.0, 0, []

for episode in range(300):
    s, total, done, cut = env.reset(), 0.0, False, False
    while not (done or cut):
        if random.random() < eps:
            a = random.randint(0, 1)
        else:
            with torch.no_grad():
                a = q(s).argmax().item()
        s2, r, done, cut = env.step(a)
        buffer.append((s, a, r, s2, float(done)))
        s, total, steps = s2, total + r, steps + 1
        if len(buffer) >= 200:
            bs, ba, br, bs2, bd = zip(*random.sample(buffer, 64))
            bs, bs2 = torch.stack(bs), torch.stack(bs2)
            with torch.no_grad():
                y = torch.tensor(br) + gamma * (1 - torch.tensor(bd)) * target(bs2).max(1).values
            pred = q(bs).gather(1, torch.tensor(ba)[:, None]).squeeze(1)
            loss = F.smooth_l1_loss(pred, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if steps % 200 == 0:
            target.load_state_dict(q.state_dict())
    eps = max(0.05, eps * 0.985)
    returns.append(total)
    if (episode + 1) % 50 == 0:
        print(f"episode {episode + 1} return {sum(returns[-50:]) / 50:.3f} eps {eps:.2f} loss {loss.item():.4f}")
