"""Preference optimisation of a small language model against a frozen reference."""
import copy

import torch

from prefs.config import Config
from prefs.data import batches, pairs, sequences
from prefs.losses import preference_loss, sequence_logp
from prefs.model import GRULM


def pretrain(model, cfg):
    opt = torch.optim.Adam(model.parameters(), lr=cfg.pretrain_lr)
    for step, ids in enumerate(batches(sequences(2000, seed=1), cfg.batch, cfg.pretrain_steps)):
        loss = model.loss(ids)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 40 == 0:
            print(f"pretrain step {step} loss {loss.item():.4f}")


@torch.no_grad()
def preference_accuracy(model, data):
    chosen, rejected = data
    return (sequence_logp(model, chosen) > sequence_logp(model, rejected)).float().mean().item()


def main():
    cfg = Config()
    torch.manual_seed(cfg.seed)
    policy = GRULM(cfg.vocab, cfg.width)
    pretrain(policy, cfg)
    reference = copy.deepcopy(policy).requires_grad_(False)
    train, held_out = pairs(1500, seed=2), pairs(400, seed=3)
    opt = torch.optim.Adam(policy.parameters(), lr=cfg.lr)
    print(f"before: prefers {preference_accuracy(policy, held_out):.3f}")
    for step in range(1, cfg.steps + 1):
        rows = torch.randint(len(train[0]), (cfg.batch,))
        chosen, rejected = train[0][rows], train[1][rows]
        loss, margin = preference_loss(policy, reference, chosen, rejected, cfg.beta)
        opt.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        opt.step()
        if step % 20 == 0:
            print(f"step {step} loss {loss.item():.4f} margin {margin:.4f} prefers {preference_accuracy(policy, held_out):.3f}")


if __name__ == "__main__":
    main()
