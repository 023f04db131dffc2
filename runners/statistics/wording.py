"""What metrics say of the intervals that they have in common."""

from __future__ import annotations

SHARE_INTERVAL = (
    "Wilson score interval; where items share clusters a percentile bootstrap of whole clusters, and at 0 and 1 Wilson "
    "over their number."
)
MEAN_INTERVAL = (
    "Percentile bootstrap of the mean over items, or over whole clusters, wider for few of them (expanded percentile, "
    "Hesterberg 2015); none where all are alike. Where few large losses decide it held the truth in 90 of 100 cases."
)
RATE_INTERVAL = (
    "Delta method on the logit scale with Student's t for the items of the smallest class, what items of one cluster "
    "contribute summed; Wilson over the items of the smallest class at 0 and 1."
)
AREA_INTERVAL = (
    "Normal on the logit scale with the number of positive items, or of clusters that have one, of the rarest class "
    "(Boyd et al. 2013); Wilson at 0 and 1."
)
CHANCE_INTERVAL = (
    "Bootstrap over items or whole clusters, turned over and freed of what chance adds; the lower end is 0 where a "
    "perfectly calibrated submission would be seen to have as much."
)
COUNT_INTERVAL = "None: it is a count, or read off the submission, and not an estimate."
