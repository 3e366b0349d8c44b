"""The documents show the costs that the command shows; there is no second table."""

import re
from pathlib import Path

import pytest

from stock_assets.deployment.costs import (
    ATHENA_USD_PER_TB,
    BALANCER,
    ITEMS,
    PRICE_LISTS,
    PRICES_OF,
    S3_USD_PER_1000_READS,
    S3_USD_PER_1000_WRITES,
    monthly_usd,
    session_usd,
)
from stock_assets.deployment.templates import ORDER

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "deploy.md").read_text(encoding="utf-8")
BASE = ["data", "monitoring"]


def test_the_documentation_has_every_line_of_the_bill_and_no_other() -> None:
    assert PRICES_OF in PAGE
    expected = [
        f"| {item.template} | [{item.service}]({PRICE_LISTS[item.service]}) | {item.what} "
        f"| {item.quantity:g} {item.unit} | {item.price:g} | {item.usd:.2f} |"
        for item in ITEMS
    ]
    assert re.findall(r"^\| \w+ \| \[.*\|$", PAGE, re.MULTILINE) == expected
    assert {item.template for item in ITEMS} <= {*map(str, ORDER), BALANCER}


def test_the_sums_of_the_forms_are_the_same_wherever_they_are_written() -> None:
    sums = {form[-1]: monthly_usd([*BASE, *form]) for form in (["single"], ["fargate"], ["fargate", BALANCER])}
    assert re.findall(r"^\| .* \| (\d+\.\d\d) \|$", PAGE.partition("| template |")[0], re.MULTILINE) == [
        f"{value:.2f}" for value in sums.values()
    ]
    rounded = {str(round(value)) for value in sums.values()}
    for page in (*DOCS.glob("*.md"), DOCS.parent / "README.md", *(DOCS.parent / "infra/aws").glob("*")):
        for line in page.read_text(encoding="utf-8").splitlines():
            if re.search(r"single|fargate|load balancer|one instance", line, re.IGNORECASE):
                found = re.findall(r"about (\d+) USD", line)
                assert set(found) <= rounded, f"{page.name}: {line}"


def test_the_estimate_of_the_data_is_the_one_that_is_explained() -> None:
    [estimate] = [item.usd for item in ITEMS if item.template == "data" and item.unit == "estimate"]
    [explained] = re.findall(
        r"^\| sum \| [^|]*with a queue \*\*([\d.]+) USD\*\* \|", (DOCS / "aws.md").read_text(), re.MULTILINE
    )
    assert estimate == float(explained)


def test_requests_have_the_prices_of_the_documentation() -> None:
    assert session_usd(s3_writes=1000, s3_reads=0, glue_requests=0) == pytest.approx(0.005)
    assert session_usd(s3_writes=0, s3_reads=1000, glue_requests=0) == pytest.approx(0.0004)
    assert session_usd(s3_writes=0, s3_reads=0, glue_requests=1_000_000) == pytest.approx(1.0)
    page = " ".join((DOCS / "aws.md").read_text(encoding="utf-8").split())
    assert f"{S3_USD_PER_1000_WRITES:g} per 1,000 writes or listings, {S3_USD_PER_1000_READS:g} per 1,000 reads" in page
    assert f"Athena: {ATHENA_USD_PER_TB:g} USD per TB read" in page
