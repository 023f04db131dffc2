import numpy as np

from runners.judge.consistency import TOLERANCE, ask_again

RNG = np.random.default_rng(3)
X = RNG.normal(size=(400, 2)).astype(np.float32)


class Drifting:
    """Answers 0.5 and `drift` more each time it is asked, for the items whose first number is positive."""

    def __init__(self, drift: float) -> None:
        self.drift, self.asked = drift, []

    def predict(self, x):
        self.asked.append(len(x))
        more = np.where(x[:, 0] > 0, self.drift * (len(self.asked) - 1), 0.0)
        return np.column_stack([0.5 - more, 0.5 + more])


def check(model, x=X):
    return ask_again(model, x, model.predict(x), rng=np.random.default_rng(0))


def test_the_same_answers_say_nothing():
    found = check(Drifting(0.0))
    assert (found.asked, found.differed, found.message) == (16, 0, "")


def test_other_answers_are_counted_and_told():
    model = Drifting(0.25)
    found = check(model)
    assert model.asked == [400, 16]
    assert 0 < found.differed < 16
    assert found.largest == 0.25
    assert f"{found.differed} of 16 items differently" in found.message
    assert found.data == {"asked_again": 16, "differed": found.differed, "largest_difference": 0.25}


def test_rounding_is_no_difference():
    assert check(Drifting(TOLERANCE / 2)).differed == 0


def test_few_items_cost_one_question_of_one_item_and_none_cost_nothing():
    model = Drifting(0.0)
    assert check(model, X[:5]).asked == 1
    assert check(model, X[:0]).asked == 0
    assert model.asked == [5, 1, 0]
