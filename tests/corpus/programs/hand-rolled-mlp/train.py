# from-scratch MLP, parameters as plain tensors, hand-rolled SGD with momentum
import torch

gen = torch.Generator().manual_seed(2)
n, d, h, k = 1500, 2, 32, 3

# three interleaved spirals
label = torch.randint(0, k, (n,), generator=gen)
r = torch.rand(n, generator=gen)
theta = 3.2 * r + label * 2 * torch.pi / k + 0.12 * torch.randn(n, generator=gen)
points = torch.stack([r * theta.cos(), r * theta.sin()], 1) * 2
ptr, ltr, pte, lte = points[:1200], label[:1200], points[1200:], label[1200:]


def weights(fan_in, fan_out):
    w = torch.randn(fan_in, fan_out, generator=gen) * fan_in ** -0.5
    b = torch.zeros(fan_out)
    return [w.requires_grad_(), b.requires_grad_()]


params = weights(d, h) + weights(h, h) + weights(h, k)
velocity = [torch.zeros_like(p) for p in params]


def net(x):
    w1, b1, w2, b2, w3, b3 = params
    a = torch.tanh(x @ w1 + b1)
    a = torch.tanh(a @ w2 + b2)
    return a @ w3 + b3


def cross_entropy(z, y):
    return (torch.logsumexp(z, 1) - z[torch.arange(len(y)), y]).mean()


lr, mu = 0.05, 0.9
for epoch in range(1, 81):
    shuffled = torch.randperm(1200, generator=gen)
    running = 0.0
    for s in range(0, 1200, 40):
        rows = shuffled[s:s + 40]
        loss = cross_entropy(net(ptr[rows]), ltr[rows])
        grads = torch.autograd.grad(loss, params)
        with torch.no_grad():
            for p, v, g in zip(params, velocity, grads):
                v.mul_(mu).add_(g)
                p.sub_(lr * v)
        running += loss.item() / 30
    if epoch % 10 == 0:
        with torch.no_grad():
            acc = (net(pte).argmax(1) == lte).float().mean()
        print(f"epoch {epoch:3d}  loss {running:.4f}  test acc {acc:.3f}")
