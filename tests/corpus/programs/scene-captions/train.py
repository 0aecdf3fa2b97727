# %% [markdown]
# Captions for tiny scenes: which objects are there, from left to right?

# %%
import torch
import torch.nn.functional as F

from captions.model import Captioner
from captions.scenes import BOS, EOS, PAD, make_scenes

torch.manual_seed(41)
images, captions = make_scenes(1500, seed=1)
test_images, test_captions = make_scenes(150, seed=2)
print("image", tuple(images[0].shape), "caption", captions[0].tolist())

# %%
model = Captioner()
optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
print("parameters", sum(p.numel() for p in model.parameters()))


# %%
def caption_loss(image, caption):
    logits = model(image, caption[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), caption[:, 1:].flatten(), ignore_index=PAD)


@torch.no_grad()
def exact():
    model.eval()
    out = torch.full((len(test_images), 1), BOS)
    for _ in range(test_captions.size(1) - 1):
        out = torch.cat([out, model(test_images, out)[:, -1:].argmax(-1)], 1)
    model.train()
    keep = test_captions != PAD
    return (((out == test_captions) | ~keep).all(1)).float().mean().item()


# %%
for epoch in range(7):
    total = 0.0
    for rows in torch.randperm(len(images)).split(50):
        loss = caption_loss(images[rows], captions[rows])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        total += loss.item() * len(rows)
    print(f"epoch {epoch}: loss {total / len(images):.4f} exact {exact():.3f}")

# %%
with torch.no_grad():
    print("held-out loss", round(caption_loss(test_images, test_captions).item(), 4), "end token", EOS)
