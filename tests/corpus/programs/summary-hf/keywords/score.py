import torch

from keywords.collator import PairCollator
from keywords.data import EOS


@torch.no_grad()
def exact_match(model, pairs):
    model.eval()
    items = [pairs[i] for i in range(len(pairs))]
    batch = PairCollator()(items)
    out = torch.full((len(items), 1), model.config.decoder_start_token_id)
    encoded = model.encoder(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"])
    for _ in range(9):
        logits = model(encoder_outputs=encoded, attention_mask=batch["attention_mask"], decoder_input_ids=out).logits
        out = torch.cat([out, logits[:, -1:].argmax(-1)], 1)
    hits = 0
    for row, item in zip(out[:, 1:].tolist(), items):
        end = row.index(EOS) + 1 if EOS in row else len(row)
        hits += row[:end] == item["answer"]
    return hits / len(items)
