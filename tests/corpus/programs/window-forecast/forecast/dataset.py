from torch.utils.data import DataLoader, Dataset

from forecast.series import sensors


class Scaler:
    def __init__(self, rows):
        self.mean, self.std = rows.mean(0), rows.std(0)

    def __call__(self, rows):
        return (rows - self.mean) / self.std


class Windows(Dataset):
    def __init__(self, rows, window, ahead):
        self.rows, self.window, self.ahead = rows, window, ahead

    def __len__(self):
        return len(self.rows) - self.window - self.ahead + 1

    def __getitem__(self, i):
        end = i + self.window
        return self.rows[i:end], self.rows[end + self.ahead - 1]


def build_loaders(s):
    rows = sensors(s.hours, s.seed)
    first, second = int(0.7 * len(rows)), int(0.85 * len(rows))
    parts = {"train": rows[:first], "val": rows[first:second], "test": rows[second:]}
    scaler = Scaler(parts["train"])
    loaders = {}
    for name, part in parts.items():
        data = Windows(scaler(part), s.window, s.ahead)
        loaders[name] = DataLoader(data, batch_size=s.batch, shuffle=name == "train")
    return loaders, scaler
