"""Which column a returned result belongs to."""

from runners.registry import get_metric


def test_a_value_of_an_attribute_has_its_own_column_where_there_is_one():
    info = get_metric("robustness.bias")
    assert info.column("[race=Caucasian]").title == "Attack success rate"
    assert info.column("[race=Caucasian]").direction == "minimise"
    assert info.column("[race]").title == "Robustness bias"


def test_where_there_is_one_template_it_serves_both():
    assert get_metric("fairness.error_rate").column("[race]").key == "[attribute=group]"
    assert get_metric("fairness.disparate_impact").column("[race=Caucasian]").key == "[attribute]"
