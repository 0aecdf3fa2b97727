"""GCN by dense adjacency on a stochastic block model, semi-supervised, full batch."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
n, k = 400, 4
y = torch.arange(n) % k
prob = torch.where(y[:, None] == y[None], 0.08, 0.008)
upper = torch.triu((torch.rand(n, n) < prob).float(), 1)
A = upper + upper.t()
A_hat = A + torch.eye(n)
d = A_hat.sum(1).rsqrt()
A_hat = d[:, None] * A_hat * d[None]
X = torch.randn(n, 32)
X[torch.arange(n), y] += 1.0

perm = torch.randperm(n)
train_mask = torch.zeros(n, dtype=torch.bool)
test_mask = torch.zeros(n, dtype=torch.bool)
train_mask[perm[:60]] = True
test_mask[perm[160:]] = True


class GCN(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(32, 32, bias=False)
        self.lin2 = nn.Linear(32, k, bias=False)

    def forward(self, x, adj):
        x = F.dropout(x, 0.5, self.training)
        x = F.relu(adj @ self.lin1(x))
        x = F.dropout(x, 0.5, self.training)
        return adj @ self.lin2(x)


model = GCN()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(200):
    model.train()
    optimizer.zero_grad()
    out = model(X, A_hat)
    loss = F.cross_entropy(out[train_mask], y[train_mask])
    loss.backward()
    optimizer.step()
    if epoch % 10 == 0:
        model.eval()
        with torch.no_grad():
            pred = model(X, A_hat).argmax(1)
        tr = (pred[train_mask] == y[train_mask]).float().mean().item()
        te = (pred[test_mask] == y[test_mask]).float().mean().item()
        print(f"epoch {epoch:03d} loss {loss.item():.4f} train {tr:.3f} test {te:.3f}")
