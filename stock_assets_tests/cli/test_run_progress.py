"""What the command line prints about the findings of a run."""

import dagster as dg
import pytest

from stock_assets.cli.run_progress import print_findings


def finding(name: str, description: str, *, blocking: bool = False) -> dg.AssetCheckEvaluation:
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(["raw", "daily_prices"]),
        check_name=name,
        passed=False,
        metadata={},
        severity=dg.AssetCheckSeverity.ERROR if blocking else dg.AssetCheckSeverity.WARN,
        blocking=blocking,
        description=description,
    )


def test_checks_with_the_same_finding_are_printed_together(capsys: pytest.CaptureFixture[str]) -> None:
    symbols = ["amd", "avgo", "mu", "nvda", "qcom", "tsm", "txn"]
    print_findings(
        [
            finding("amd_complete", "no response"),
            finding("jump", "1 bad row"),
            *(finding(f"{symbol}_complete", "no response") for symbol in symbols[1:]),
        ]
    )
    err = " ".join(capsys.readouterr().err.split())
    assert err == (
        "amd_complete, avgo_complete, mu_complete, nvda_complete, qcom_complete and 2 more: no response jump: 1 bad row"
    )


def test_a_finding_that_blocks_is_not_printed_with_one_that_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_findings([finding("first", "bad"), finding("second", "bad", blocking=True)])
    assert capsys.readouterr().err.splitlines() == ["first: bad", "second: bad"]
