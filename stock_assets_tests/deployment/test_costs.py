"""docs/deploy.md shows the costs that the command shows."""

from pathlib import Path

from stock_assets.deployment.costs import BALANCER, ITEMS, PRICES_OF, monthly_usd
from stock_assets.deployment.templates import ORDER

PAGE = (Path(__file__).parents[2] / "docs" / "deploy.md").read_text(encoding="utf-8")


def test_every_line_of_the_bill_is_in_the_documentation() -> None:
    assert PRICES_OF in PAGE
    for item in ITEMS:
        cells = f"| {item.template} | {item.what} | {item.quantity:g} {item.unit} | {item.price:g} | {item.usd:.2f} |"
        assert cells in PAGE, cells
    assert {item.template for item in ITEMS} <= {*map(str, ORDER), BALANCER}


def test_the_sums_of_the_forms_are_in_the_documentation() -> None:
    base = ["data", "monitoring"]
    for form in (["single"], ["fargate"], ["fargate", BALANCER]):
        assert f"| {monthly_usd([*base, *form]):.2f} |" in PAGE
