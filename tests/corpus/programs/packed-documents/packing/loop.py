import torch

from packing.corpus import pack, LENGTH
from packing.model import next_token_loss


class Loop:
    def __init__(self, model, train, val, val_docs, args):
        self.model, self.train, self.val, self.args = model, train, val, args
        self.alone = pack(val_docs, LENGTH)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)

    def batch(self):
        rows = torch.randint(len(self.train[0]), (self.args.batch,))
        return [part[rows] for part in self.train]

    @torch.no_grad()
    def evaluate(self):
        self.model.eval()
        packed = next_token_loss(self.model, *self.val).item()
        alone = next_token_loss(self.model, *self.alone).item()
        self.model.train()
        return packed, alone

    def run(self):
        running = 0.0
        for step in range(1, self.args.steps + 1):
            loss = next_token_loss(self.model, *self.batch())
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
            running += loss.item()
            if step % 20 == 0:
                packed, alone = self.evaluate()
                print(f"step {step} train {running / 20:.4f} val packed {packed:.4f} alone {alone:.4f}")
                running = 0.0
