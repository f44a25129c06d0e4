"""What a case's logits cost in training, and which probabilities logits mean once the cost is at its least.

A model is trained to the least expected cost, not to the truth: class weights, focusing and a margin all move the
logits at which that is reached. How far is known, so it is undone here instead of being left to the calibrator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid, softplus

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medfuse.config import LossConfig

_NEAR = 1e-7  # a probability that a float of 32 bits tells from none
_FAR = 30.0  # a logit beyond which exp(z) and log(1 + exp(z)) differ by less than a float tells


@dataclass(frozen=True)
class Loss:
    r"""$-(1 - q)^{γ_+} \log q$ of a positive, $-q_m^{γ_-} \log(1 - q_m)$ of a negative, $q_m = \max(q - m, 0)$.

    $q$ is the sigmoid of the logit, in a multiclass task the softmax, of which only the true label's part counts. With
    $γ_+ = γ_- = m = 0$ it is cross-entropy; with $γ_+ = γ_-$ and $m = 0$ the focal loss (Lin et al. 2017,
    arXiv:1708.02002, equation 4); else the asymmetric loss (Ridnik et al. 2021, arXiv:2009.14119, section 2).

    Example:
        >>> float(Loss(0, 0, 0).log_odds(torch.tensor([2.0]), torch.zeros(1)))
        2.0

    Attributes:
        positive: $γ_+$.
        negative: $γ_-$.
        margin: $m$.
    """

    positive: float = 0.0
    negative: float = 0.0
    margin: float = 0.0

    @classmethod
    def of(cls, config: LossConfig) -> Loss:
        """The loss that a config names."""
        if config.name == "log":
            return cls()
        if config.name == "focal":
            return cls(config.focusing, config.focusing)
        return cls(config.focusing_positive, config.focusing, config.margin)

    def each(
        self, logits: Float[Tensor, "n c"], truth: Float[Tensor, "n c"], weights: Float[Tensor, " c"]
    ) -> Float[Tensor, "n c"]:
        """Cost of each label by itself [N, C]; the truth may lie between 0 and 1, positives are weighted [C]."""
        # A power below 1 has no slope at 0, so 0 itself is left out.
        positive = -((-logits).sigmoid().clamp(min=_NEAR) ** self.positive) * logsigmoid(logits)
        if self.margin:
            shifted = (logits.sigmoid() - self.margin).clamp(min=_NEAR)
            negative = -(shifted**self.negative) * torch.log1p(-shifted)
        else:
            negative = -(logits.sigmoid().clamp(min=_NEAR) ** self.negative) * logsigmoid(-logits)
        return truth * weights * positive + (1 - truth) * negative

    def of_class(self, logits: Float[Tensor, "n c"], answer: Tensor, weights: Float[Tensor, " c"]) -> Float[Tensor, ""]:
        """Mean cost of cases with one true label each [N], weighted as torch's cross-entropy does."""
        logs = logits.log_softmax(1).gather(1, answer.unsqueeze(1)).squeeze(1)
        weight = weights[answer]
        return -(weight * (-torch.expm1(logs)).clamp(min=_NEAR) ** self.positive * logs).sum() / weight.sum()

    def log_odds(
        self, logits: Float[Tensor, "n c"], log_weights: Float[Tensor, " c"], *, multiclass: bool = False
    ) -> Float[Tensor, "n c"]:
        r"""Logits of the probabilities under which these logits have the least expected cost [N, C].

        For a label by itself the slopes of both costs balance there, $p w \ell_+'(z) + (1 - p) \ell_-'(z) = 0$, so
        $\mathrm{logit}\, p = \log \ell_-'(z) - \log(-w \, \ell_+'(z))$. Under a softmax
        $\log p_c = -\log(-w_c \, φ'(q_c))$ plus a constant, $φ(q) = -(1 - q)^γ \log q$ (Charoenphakdee et al. 2021,
        arXiv:2011.09172, who show it for the focal loss). Of cross-entropy both are $z - \log w$ (prior correction;
        Menon et al. 2021, arXiv:2007.07314).

        A margin is not undone: it leaves costs without a slope at both ends, so that many probabilities share a
        logit. What it does is left to the calibrator.

        Args:
            logits: As the loss sees them.
            log_weights: Natural logarithm of each label's weight.
            multiclass: Whether they are those of a softmax.
        """
        if not self.positive and not self.negative:
            return logits - log_weights
        if multiclass:
            logs = logits.log_softmax(1)
            others = _log_of_rest(logs)
            rest = others.exp()  # 1 - q
            unsure = torch.where(rest < 0.5, -torch.log1p(-rest), -logs)  # -log q
            bent = torch.where(rest < _NEAR, 1.0, unsure / rest.clamp(min=_NEAR)) * logs.exp()
            return logs - self.positive * others - torch.log1p(self.positive * bent) - log_weights
        # softplus(z) is -log(sigmoid(-z)), which ONNX Runtime would take by the letter.
        rising = -(self.positive + 1) * softplus(logits) + torch.log1p(self.positive * _ratio(logits))
        falling = -(self.negative + 1) * softplus(-logits) + torch.log1p(self.negative * _ratio(-logits))
        return falling - rising - log_weights


def _ratio(logits: Tensor) -> Tensor:
    """log(1 + exp(-z)) / exp(-z), which goes to 1 for large z."""
    held = logits.clamp(-_FAR, _FAR / 2)  # beyond, the ratio is 0 or 1 to seven digits
    return softplus(-held) * held.exp()


def _log_of_rest(logs: Float[Tensor, "n c"]) -> Float[Tensor, "n c"]:
    """log(1 - q) of the log probabilities of a softmax, exact where q is near 1."""
    count = logs.shape[1]
    others = logs.unsqueeze(1).expand(-1, count, -1)
    place = torch.arange(count, device=logs.device)
    return others.masked_fill(place.unsqueeze(1) == place, -torch.inf).logsumexp(2)
