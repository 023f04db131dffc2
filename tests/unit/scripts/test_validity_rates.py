"""The table of verdicts: counted, and a model judged as in the study."""

from scripts.validity_rates import Judged, table


def test_verdicts_are_counted_by_sort_of_model():
    found = [
        Judged("honest", "a", 0.5, 0.4, "sound"), Judged("honest", "a", 0.3, 0.3, "suspect"),
        Judged("broken", "b", 0.9, 0.1, "broken"),
    ]  # fmt: skip
    lines = table(found).splitlines()
    assert lines[2:] == ["| honest | a | 2 | 1 | 1 | 0 | 0.40 | 0.35 |", "| broken | b | 1 | 0 | 0 | 1 | 0.90 | 0.10 |"]
