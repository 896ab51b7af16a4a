"""Every rule of docs/CONSISTENCY.md is named in the code that keeps it and in a test."""

import pytest
from tests.support import rules


@pytest.mark.parametrize("rule", rules.RULES)
def test_a_rule_is_named_in_code_and_in_a_test(rule: int) -> None:
    assert rules.where(tests=False)[rule], f"no code says that it keeps rule {rule}"
    assert rules.where(tests=True)[rule], f"no test says that it tests rule {rule}"


def test_the_page_says_where() -> None:
    assert rules.table() in rules.PAGE.read_text(), "write the table anew: python -m tests.support.rules"


def test_mentions_are_found() -> None:
    assert rules.rules_of("Rule 7: x; rules 2, 3 and 12; rules 5 to 8.") == {2, 3, 5, 6, 7, 8, 12}
