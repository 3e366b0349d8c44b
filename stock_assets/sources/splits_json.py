"""The format of raw splits responses: Alpha Vantage's JSON, which the recorded sample writes too.

Belongs here: checking the form of such a response and reading its splits. Does not belong here: requesting splits
(`alpha_vantage`), applying them to prices (`sql/stage`).

This module imports no HTTP client, so that the recorded sample needs none.
"""

import json
from decimal import Decimal, InvalidOperation

from stock_assets.core.errors import MalformedResponse
from stock_assets.core.text import first_line
from stock_assets.core.vendor_facts import Split
from stock_assets.sources.raw_format import iso_date


def parse_splits(body: bytes, symbol: str) -> list[Split]:
    """Read a body of the form `{"symbol": ..., "data": [{"effective_date": ..., "split_factor": ...}]}`.

    Returns:
        the splits, oldest first.

    Raises:
        MalformedResponse: the body has another form, or belongs to another symbol.
    """
    try:
        response = json.loads(body)
        symbol_of_response = response["symbol"]
        splits = [
            Split(iso_date(entry["effective_date"]), Decimal(entry["split_factor"])) for entry in response["data"]
        ]
    except (ValueError, KeyError, TypeError, InvalidOperation) as error:
        raise MalformedResponse(
            f"the response is not a list of splits: {first_line(body.decode(errors='replace'))!r}", symbol=symbol
        ) from error
    if symbol_of_response != symbol:
        raise MalformedResponse(
            f"the response belongs to another symbol, {first_line(str(symbol_of_response))!r}", symbol=symbol
        )
    if any(not split.ratio.is_finite() or split.ratio <= 0 for split in splits):
        raise MalformedResponse("a split ratio is not a number above zero", symbol=symbol)
    if len({split.ex_date for split in splits}) != len(splits):
        raise MalformedResponse("the response has two splits on one day", symbol=symbol)
    return sorted(splits, key=lambda split: split.ex_date)
