"""Denoise sensor traces with a 1-d conv net; the loss has a data and a smoothness term."""
import argparse

import torch
from torch import nn


def traces(n, length, gen):
    knots = torch.randn(n, 1, 9, generator=gen)
    clean = nn.functional.interpolate(knots, size=length, mode="linear", align_corners=True)
    return clean + 0.5 * torch.randn(n, 1, length, generator=gen), clean


class Denoiser(nn.Module):
    def __init__(self, ch):
        super().__init__()
        self.seq = nn.Sequential(
            nn.Conv1d(1, ch, 7, padding=3), nn.LeakyReLU(0.1),
            nn.Conv1d(ch, ch, 7, padding=3), nn.LeakyReLU(0.1),
            nn.Conv1d(ch, 1, 7, padding=3),
        )

    def forward(self, x):
        return self.seq(x)


def train_one_epoch(model, optimizer, noisy, clean, bs, lam):
    mse = nn.MSELoss()
    model.train()
    running = 0.0
    for idx in torch.randperm(len(noisy)).split(bs):
        out = model(noisy[idx])
        data_term = mse(out, clean[idx])
        smooth_term = (out[..., 1:] - out[..., :-1]).pow(2).mean()
        loss = data_term + lam * smooth_term
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item() * len(idx)
    return running / len(noisy)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=12)
    ap.add_argument("--batch-size", type=int, default=32)
    ap.add_argument("--lr", type=float, default=2e-3)
    ap.add_argument("--lam", type=float, default=0.05)
    ap.add_argument("--channels", type=int, default=12)
    args = ap.parse_args()
    torch.manual_seed(12)
    gen = torch.Generator().manual_seed(12)
    noisy, clean = traces(800, 64, gen)
    noisy_t, clean_t = traces(200, 64, gen)
    model = Denoiser(args.channels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        tr = train_one_epoch(model, optimizer, noisy, clean, args.batch_size, args.lam)
        model.eval()
        with torch.no_grad():
            err = (model(noisy_t) - clean_t).pow(2).mean().item()
        print(f"epoch={epoch} train_loss={tr:.5f} test_err={err:.5f} noise_err={(noisy_t - clean_t).pow(2).mean():.5f}")


if __name__ == "__main__":
    main()
