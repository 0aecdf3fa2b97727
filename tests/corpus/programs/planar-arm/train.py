import torch
import torch.nn as nn
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(3)

# inverse kinematics of a 3-joint planar arm: (x, y, phi) -> joint angles
def arm(n):
    q = torch.rand(n, 3) * 2.0 + 0.2
    a1, a2, a3 = q[:, 0], q[:, 0] + q[:, 1], q.sum(1)
    pos = torch.stack([a1.cos() + a2.cos() + 0.5 * a3.cos(), a1.sin() + a2.sin() + 0.5 * a3.sin(), a3.cos(), a3.sin()], 1)
    return pos, q - 1.2


train_loader = DataLoader(TensorDataset(*arm(3000)), batch_size=60, shuffle=True)
val_x, val_y = arm(600)

model = nn.Sequential(
    nn.Linear(4, 96),
    nn.GELU(),
    nn.Linear(96, 96),
    nn.GELU(),
    nn.Linear(96, 3),
)
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters(), lr=3e-3)
# drop the rate by 2 every 4 epochs
scheduler = optim.lr_scheduler.StepLR(optimizer, step_size=4, gamma=0.5)

num_epochs = 16
for epoch in range(num_epochs):
    model.train()
    running_loss = 0.0
    for inputs, targets in train_loader:
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item() * inputs.size(0)
    scheduler.step()
    epoch_loss = running_loss / len(train_loader.dataset)

    model.eval()
    with torch.no_grad():
        val_loss = criterion(model(val_x), val_y).item()
    print('Epoch [{}/{}], Loss: {:.5f}, val_loss: {:.5f}'.format(epoch + 1, num_epochs, epoch_loss, val_loss))

print('Finished training')
