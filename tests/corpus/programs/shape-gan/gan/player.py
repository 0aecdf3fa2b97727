import torch
import torch.nn.functional as F


def energy_distance(a, b):
    cross = torch.cdist(a, b).mean()
    return (2 * cross - torch.cdist(a, a).mean() - torch.cdist(b, b).mean()).item()


class Game:
    def __init__(self, generator, critic, data, lr):
        self.g, self.d, self.data = generator, critic, data
        self.opt_g = torch.optim.Adam(generator.parameters(), lr=lr, betas=(0.5, 0.999))
        self.opt_d = torch.optim.Adam(critic.parameters(), lr=lr, betas=(0.5, 0.999))

    def critic_turn(self, batch):
        real, fake = self.d(self.data(batch)), self.d(self.g(batch).detach())
        loss = F.softplus(-real).mean() + F.softplus(fake).mean()
        self.opt_d.zero_grad()
        loss.backward()
        self.opt_d.step()
        return loss.item()

    def generator_turn(self, batch):
        fake = self.g(batch)
        loss = F.softplus(-self.d(fake)).mean()
        self.opt_g.zero_grad()
        loss.backward()
        self.opt_g.step()
        return loss.item()

    @torch.no_grad()
    def distance(self, n=600):
        return energy_distance(self.g(n), self.data(n))

    def play(self, steps, batch, report):
        print(f"step 0 distance {self.distance():.4f}")
        for step in range(1, steps + 1):
            d, g = self.critic_turn(batch), self.generator_turn(batch)
            if step % report == 0:
                print(f"step {step} critic {d:.4f} generator {g:.4f} distance {self.distance():.4f}")
