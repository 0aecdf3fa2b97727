"""DQN on a small chain/balance task: keep a point near the origin by pushing left or right."""
import copy
import random
from collections import deque
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn


@dataclass
class Config:
    seed: int = 1
    gamma: float = 0.95
    lr: float = 1e-3
    batch_size: int = 64
    buffer: int = 5000
    warmup: int = 300
    target_every: int = 100
    steps: int = 3000
    max_t: int = 50


class Point:
    def __init__(self, rng, max_t):
        self.rng, self.max_t = rng, max_t

    def reset(self):
        self.x, self.v, self.t = self.rng.uniform(-1, 1), self.rng.uniform(-0.2, 0.2), 0
        return np.array([self.x, self.v], dtype=np.float32)

    def step(self, a):
        self.v = 0.95 * self.v + 0.08 * (a - 1)
        self.x += self.v
        self.t += 1
        out = abs(self.x) > 2
        reward = -1.0 if out else 1.0 - abs(self.x)
        return np.array([self.x, self.v], dtype=np.float32), reward, out, self.t >= self.max_t


def qnet():
    return nn.Sequential(nn.Linear(2, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))


def main(cfg=Config()):
    random.seed(cfg.seed)
    torch.manual_seed(cfg.seed)
    env = Point(np.random.default_rng(cfg.seed), cfg.max_t)
    online = qnet()
    target = copy.deepcopy(online)
    for p in target.parameters():
        p.requires_grad_(False)
    opt = torch.optim.Adam(online.parameters(), lr=cfg.lr)
    memory = deque(maxlen=cfg.buffer)
    s, ep_ret, history = env.reset(), 0.0, []
    for step in range(cfg.steps):
        eps = max(0.05, 1.0 - step / 1500)
        if random.random() < eps:
            a = random.randrange(3)
        else:
            with torch.no_grad():
                a = int(online(torch.from_numpy(s)).argmax())
        s2, r, terminal, timeout = env.step(a)
        memory.append((s, a, r, s2, float(terminal)))
        s, ep_ret = s2, ep_ret + r
        if terminal or timeout:
            history.append(ep_ret)
            s, ep_ret = env.reset(), 0.0
        if len(memory) < cfg.warmup:
            continue
        batch = random.sample(memory, cfg.batch_size)
        bs, ba, br, bs2, bd = zip(*batch)
        bs, bs2 = torch.from_numpy(np.stack(bs)), torch.from_numpy(np.stack(bs2))
        ba, br, bd = torch.tensor(ba), torch.tensor(br, dtype=torch.float32), torch.tensor(bd)
        with torch.no_grad():
            best = online(bs2).argmax(1, keepdim=True)  # double DQN
            y = br + cfg.gamma * (1 - bd) * target(bs2).gather(1, best).squeeze(1)
        q = online(bs).gather(1, ba[:, None]).squeeze(1)
        loss = nn.functional.smooth_l1_loss(q, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % cfg.target_every == 0:
            target.load_state_dict(online.state_dict())
        if step % 300 == 0:
            print(f"step {step} eps {eps:.2f} loss {loss.item():.4f} return {np.mean(history[-8:]):.2f}")
    print(f"mean return, first 10: {np.mean(history[:10]):.2f}, last 10: {np.mean(history[-10:]):.2f}")


if __name__ == "__main__":
    main()
