"""An interval of a proportion that may be looked at again and again while subjects are drawn.

Wilson's interval holds with 95 % at one N that was fixed beforehand. Whoever looks after every few subjects, and goes on
until the interval is narrow, has many chances to be misled, and uses the luckiest. A confidence sequence holds at every N at
once: with a probability of at least 95 % the true proportion is in all of its intervals, so that it also is in the one at
which a run happened to stop, whatever made it stop.

This one is the prior-posterior-ratio martingale of Waudby-Smith and Ramdas (2020, "Confidence sequences for sampling without
replacement", NeurIPS 33), for Bernoulli draws the mixture of Robbins (1970, Annals of Mathematical Statistics 41:1397). Of
a prior over p, and its posterior after n draws with S successes,

    R_n(p) = prior(p) / posterior(p),    CS_n = {p : R_n(p) < 1 / alpha}

At the true p, R_n is a martingale that begins with 1, so it ever reaches 1 / alpha with a probability of at most alpha
(Ville's inequality). It stays one where a run also looks at the other cells of the same subjects, because a subject's draw
does not depend on the subjects before it. (Strictly they are drawn without replacement from a data set's identities; the
coverage is simulated for that too.)

The prior is a choice of width, not of belief: the coverage holds with any. It is uniform, Beta(1, 1), because a run stops by
its widest interval, and around one half this is narrower than Jeffreys' Beta(1/2, 1/2): within ± 2 points after 9,160
subjects, not 9,780. Jeffreys' is narrower below about 11 % and above 89 % (at 2 %: 660 subjects, not 760).

The interval is a function of S and n alone. The intersection with all earlier intervals would be valid too, but could not be
computed from the observations without knowing when they were looked at.

It holds for one cell at all looks, not for all cells at once.
"""

from math import lgamma, log, log1p

from orchestrator.errors import MetricError
from orchestrator.metrics.intervals import CONFIDENCE, Interval

HALVINGS = 60  # of a stretch of at most 1


def confidence_sequence(successes: int, n: int, *, confidence: float = CONFIDENCE) -> Interval:
    """The interval after n draws of a sequence that holds at all n at once, as shares 0..1; all of 0..1 before the first.

    Raises:
        MetricError: successes is not 0..n, or the confidence not between 0 and 1.
    """
    if not 0 <= successes <= n:
        raise MetricError(f"an interval needs 0 <= successes <= n, got {successes} of {n}")
    if not 0 < confidence < 1:
        raise MetricError(f"a confidence lies between 0 and 1, got {confidence}")
    ratio = -log(1 - confidence)
    return Interval(_lower(successes, n, ratio), 1 - _lower(n - successes, n, ratio))


def _lower(successes: int, n: int, ratio: float) -> float:
    """The lower limit: where ln R_n reaches `ratio` between 0 and successes / n, at which R_n is below 1."""
    if successes == 0:
        return 0.0
    failures = n - successes
    # Under a uniform prior R_n is one over the density of Beta(1 + successes, 1 + failures).
    constant = lgamma(1 + successes) + lgamma(1 + failures) - lgamma(2 + n)
    outside, inside = 0.0, successes / n
    for _ in range(HALVINGS):
        p = (outside + inside) / 2
        if constant - successes * log(p) - failures * log1p(-p) < ratio:
            inside = p
        else:
            outside = p
    return outside
