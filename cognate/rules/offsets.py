"""Which input token the targets of a sequence model are: the current one, the next one, or one further ahead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cognate.case.case import Case
from cognate.rules.training import commonest_site, train_losses

# A share that only a shift explains; masked or packed positions leave a little out.
SURE = 0.98
# The last token of each padded row has its successor outside the input, so +1 may miss one position a row.
NEXT = 0.8


@dataclass(frozen=True)
class Agreement:
    """The offset at which targets and input agree, and how well they do at each offset."""

    offset: int
    share: float
    shares: dict[int, float]
    site: dict[str, Any] | None


def agreement(case: Case, calls: int) -> Agreement | None:
    """The one offset at which the targets equal an integer input of the model; None where there is none or several.

    If any input or any loss of the step agrees at +1, next-token prediction is among the objectives and +1 is returned.
    """
    totals: dict[tuple[str, int], list[float]] = {}
    looked = [c for c in train_losses(case, "cross_entropy", "nll_loss") if c.get("target", {}).get("offsets")]
    for call in looked:
        for index, shares in call["target"]["offsets"].items():
            for offset, share in shares.items():
                totals.setdefault((index, int(offset)), []).append(share)
    means = {key: sum(values) / len(values) for key, values in totals.items() if len(values) >= calls}
    sure = {key: share for key, share in means.items() if share >= (NEXT if key[1] == 1 else SURE)}
    if not sure:
        return None
    # Labels are handed over behind the tokens. Where the tokens themselves agree further ahead, the labels came shifted already.
    first = min(index for index, _ in means)
    best = next((key for key in sure if key[0] == first and key[1] >= 2 and (first, 1) not in sure), None)
    best = best or next((key for key in sure if key[1] == 1), None)
    if best is None:
        if len({offset for _, offset in sure}) > 1:
            return None
        best = max(sure, key=lambda key: sure[key])
    index, offset = best
    shares = {o: round(share, 4) for (i, o), share in means.items() if i == index}
    return Agreement(offset, sure[best], shares, commonest_site(looked))
