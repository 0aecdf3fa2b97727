import torch


class Learner:
    def __init__(self, env, agent, lr, discount, entropy):
        self.env, self.agent, self.discount, self.entropy = env, agent, discount, entropy
        self.optimizer = torch.optim.Adam(agent.parameters(), lr=lr)

    def rollout(self):
        obs, rows = self.env.reset(), []
        for _ in range(self.env.horizon):
            dist, value = self.agent(obs)
            action = dist.sample()
            obs, reward, alive = self.env.step(action)
            rows.append((dist.log_prob(action), value, dist.entropy(), reward, alive))
        return [torch.stack(part) for part in zip(*rows)]

    def returns(self, rewards):
        out, running = [], torch.zeros(rewards.size(1))
        for reward in rewards.flip(0):
            running = reward + self.discount * running
            out.append(running)
        return torch.stack(out[::-1])

    def update(self):
        logp, value, entropy, reward, alive = self.rollout()
        target = self.returns(reward)
        advantage = (target - value).detach()
        n = alive.sum()
        policy_loss = -(logp * advantage * alive).sum() / n
        value_loss = ((value - target).pow(2) * alive).sum() / n
        loss = policy_loss + 0.5 * value_loss - self.entropy * (entropy * alive).sum() / n
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.agent.parameters(), 1.0)
        self.optimizer.step()
        return loss.item(), reward.sum(0).mean().item()

    def run(self, updates, report):
        recent = []
        for i in range(1, updates + 1):
            loss, total = self.update()
            recent.append(total)
            if i % report == 0:
                print(f"update {i} loss {loss:+.4f} return {sum(recent[-report:]) / report:.3f}")
