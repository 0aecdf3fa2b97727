# Advantage actor-critic on a 4x4 gridworld, vectorised over environments.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
SIZE = 4
GOAL = torch.tensor([3, 3])
MOVES = torch.tensor([[0, 1], [0, -1], [1, 0], [-1, 0]])


class Envs:
    def __init__(self, n):
        self.n = n
        self.pos = torch.randint(0, SIZE, (n, 2))
        self._reset(torch.ones(n, dtype=torch.bool))

    def _reset(self, m):
        fresh = torch.randint(0, SIZE, (self.n, 2))
        fresh[(fresh == GOAL).all(1)] = 0
        self.pos[m] = fresh[m]

    def obs(self):
        return F.one_hot(self.pos[:, 0] * SIZE + self.pos[:, 1], SIZE * SIZE).float()

    def step(self, a):
        self.pos = (self.pos + MOVES[a]).clamp(0, SIZE - 1)
        goal = (self.pos == GOAL).all(1)
        r = torch.where(goal, 1.0, -0.05)
        self._reset(goal)
        return r, goal.float()


class ActorCritic(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(SIZE * SIZE, 64), nn.Tanh())
        self.pi = nn.Linear(64, 4)
        self.v = nn.Linear(64, 1)

    def forward(self, x):
        h = self.body(x)
        return torch.distributions.Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


env = Envs(16)
net = ActorCritic()
opt = torch.optim.Adam(net.parameters(), lr=5e-3)
gamma, horizon = 0.97, 8

for update in range(301):
    logps, values, rewards, dones, ents = [], [], [], [], []
    for _ in range(horizon):
        dist, v = net(env.obs())
        a = dist.sample()
        r, d = env.step(a)
        logps.append(dist.log_prob(a)); values.append(v); ents.append(dist.entropy())
        rewards.append(r); dones.append(d)
    with torch.no_grad():
        R = net(env.obs())[1]
    returns = []
    for r, d in zip(reversed(rewards), reversed(dones)):
        R = r + gamma * R * (1 - d)
        returns.insert(0, R)
    returns, values = torch.stack(returns), torch.stack(values)
    adv = returns - values
    policy_loss = -(torch.stack(logps) * adv.detach()).mean()
    value_loss = adv.pow(2).mean()
    loss = policy_loss + 0.5 * value_loss - 0.01 * torch.stack(ents).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 1.0)
    opt.step()
    if update % 30 == 0:
        print(f"update {update:4d} loss {loss.item():+.4f} value loss {value_loss.item():.4f} "
              f"mean reward {torch.stack(rewards).mean().item():+.4f}")
