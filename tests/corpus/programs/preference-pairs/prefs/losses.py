import torch
import torch.nn.functional as F


def sequence_logp(model, ids):
    logp = model(ids[:, :-1]).log_softmax(-1)
    return logp.gather(-1, ids[:, 1:, None]).squeeze(-1).sum(-1)


def preference_loss(policy, reference, chosen, rejected, beta):
    """-log sigmoid of the policy's margin over the reference's."""
    with torch.no_grad():
        ref = sequence_logp(reference, chosen) - sequence_logp(reference, rejected)
    pol = sequence_logp(policy, chosen) - sequence_logp(policy, rejected)
    margin = beta * (pol - ref)
    return -F.logsigmoid(margin).mean(), margin.mean().item()
