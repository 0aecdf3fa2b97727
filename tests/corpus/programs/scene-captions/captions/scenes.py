import torch

PAD, BOS, EOS, FIRST, KINDS = 0, 1, 2, 3, 5
CELL, CELLS = 4, 4


def make_scenes(n, seed):
    """Up to four glyphs in a row of cells; a cell may be empty."""
    glyphs = torch.rand(KINDS, CELL, CELL, generator=torch.Generator().manual_seed(0)).round()
    g = torch.Generator().manual_seed(seed)
    images = 0.25 * torch.randn(n, 1, CELL, CELL * CELLS, generator=g)
    rows = torch.full((n, CELLS + 2), PAD)
    for i in range(n):
        row = [BOS]
        for c in range(CELLS):
            if torch.rand(1, generator=g) < 0.75:
                kind = int(torch.randint(KINDS, (1,), generator=g))
                images[i, 0, :, c * CELL : (c + 1) * CELL] += glyphs[kind] * 2 - 1
                row.append(FIRST + kind)
        row.append(EOS)
        rows[i, : len(row)] = torch.tensor(row)
    return images, rows
