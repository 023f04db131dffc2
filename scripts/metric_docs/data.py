"""Every set of subjects by name, with the words that a page has for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scripts.metric_docs import other_subjects, subjects
from scripts.metric_docs.subjects import Subject


@dataclass(frozen=True)
class Data:
    """Where the items come from, in words, what its lines are, and the subjects."""

    about: str
    lines: dict[str, str]
    make: Callable[[], list[Subject]]


_PEOPLE_LINES = {
    "logistic": "logistic regression",
    "mlp": "a small neural network, trained for accuracy alone",
    "parity-mlp": "the same network with a penalty on the gap between races",
}
_GARMENT_LINES = {
    "perceptron": "one hidden layer",
    "cnn": "a convolutional network, trained for accuracy alone",
    "robust-cnn": "the same network, trained on PGD examples with eps 0.1",
}
DATA: dict[str, Data] = {
    "recidivism": Data(
        "the 2,000 people of the test split of `competitions/recidivism` (COMPAS, Broward County)", _PEOPLE_LINES,
        subjects.people,
    ),
    "recidivism-models": Data(
        "people of the test split of `competitions/recidivism` (COMPAS, Broward County)", _PEOPLE_LINES,
        lambda: subjects.people(("mlp", "parity-mlp")),
    ),
    "garments": Data(
        "the 2,000 images of the test split of `competitions/garments` (Fashion-MNIST)", _GARMENT_LINES,
        subjects.garments,
    ),
    "garments-models": Data(
        "images of the test split of `competitions/garments` (Fashion-MNIST)", _GARMENT_LINES,
        lambda: subjects.garments(("cnn", "robust-cnn")),
    ),
    "detector": Data(
        "a deepfake detection service on FaceForensics++, replayed from its published confusion matrices; one line for "
        "each attribute, unprivileged against privileged as its authors took them", {}, subjects.detector,
    ),
    "members": Data(
        "1,000 images of `competitions/garments` that were trained on and 1,000 that were not",
        {"by-heart": "one hidden layer, trained on just these images until it knew them by heart", **_GARMENT_LINES},
        subjects.members,
    ),
    "forgotten": Data(
        "1,500 images of `competitions/garments` that were trained on, 500 of them to be forgotten, and 500 unseen",
        {"kept": "trained on all 1,500, nothing forgotten", "retrained": "trained anew without the 500"},
        subjects.forgotten,
    ),
    "training": Data(
        "answers to 500 images of `competitions/garments` under PGD (linf, eps 0.1) after 2, 5, 10, 20, 40 and 60 "
        "epochs of adversarial training on 1,000 images",
        {"no decay": "no weight decay", "decay": "weight decay 0.3"}, subjects.training,
    ),
    "transferred": Data(
        "200 images of the test split of `competitions/garments` (Fashion-MNIST), and examples that were made of them "
        "against two surrogates: `mlp`, one hidden layer trained on other images, and `cnn`, which is the second "
        "submission itself",
        _GARMENT_LINES, other_subjects.transferred,
    ),
    "private": Data(
        "answers to the 2,000 people of the test split of `competitions/recidivism` by logistic regressions that were "
        "trained by DP-SGD at five levels of epsilon, and without privacy",
        {"4,000 people": "trained on 4,000 people", "400 people": "trained on 400 of them"}, other_subjects.private,
    ),
    "memory": Data(
        "the 2,000 images of the test split of `competitions/garments` (Fashion-MNIST), which each network answered in "
        "a process of its own: its peak stands for that of a sandbox, and is mostly Python and its libraries",
        _GARMENT_LINES, other_subjects.remembered,
    ),
    "sequences": Data(
        "random sequences of 64 to 2,048 tokens",
        {"attention": "every token looks at every other", "token by token": "each token by itself"},
        other_subjects.sequences,
    ),
}  # fmt: skip
