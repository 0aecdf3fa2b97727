import torch
import torch.nn.functional as F

from solver.puzzle import puzzles


def train(model, o):
    optimizer = torch.optim.Adam(model.parameters(), lr=o.lr)
    test = puzzles(300, o, torch.Generator().manual_seed(77))
    for step in range(1, o.steps + 1):
        x, reach, y = puzzles(o.batch, o)
        logits, ponder, _ = model(x, reach)
        task = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        loss = task + o.cost * ponder.mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if step % 30 == 0:
            with torch.no_grad():
                out, _, rounds = model(test[0], test[1])
            cells = (out.argmax(-1) == test[2]).float().mean()
            print(f"step {step} task {task.item():.4f} cells {cells:.3f} rounds {rounds.mean():.2f} std {rounds.std():.2f}")
