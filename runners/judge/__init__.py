"""The trusted harness: it holds the labels, the clock, the seeds and the order; the submission gets inputs only."""

from runners.judge.run import LocalFiles, Place, evaluate

__all__ = ["LocalFiles", "Place", "evaluate"]
