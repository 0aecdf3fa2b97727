from torch import nn


class FrameNet(nn.Module):
    def __init__(self, features, hidden, sounds, dropout):
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.rnn = nn.LSTM(features, hidden, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(dropout)
        self.out = nn.Linear(2 * hidden, sounds)

    def forward(self, x):
        states, _ = self.rnn(self.norm(x))
        return self.out(self.drop(states))
