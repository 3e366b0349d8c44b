"""What each outcome of a request means, and what to do about it, in the words that checks and `budget` show.

Belongs here: one line of meaning and one of remedy per outcome. Does not belong here: telling outcomes apart
(`alpha_vantage`, `fetch`).
"""

from stock_assets.core.errors import Outcome

MEANING: dict[Outcome, str] = {
    Outcome.OK: "every session asked for is stored",
    Outcome.LATE: "the vendor answered, but its newest bar is older than the session",
    Outcome.UNOBTAINABLE: "the session lies further back than the vendor's answers reach",
    Outcome.THROTTLED: "the vendor asked for a slower pace, also after pauses",
    Outcome.DAILY_QUOTA: "the day's calls are spent",
    Outcome.NOT_ENTITLED: "the plan does not include the request",
    Outcome.BAD_KEY: "the API key is missing or refused",
    Outcome.UNKNOWN_SYMBOL: "the vendor does not know the symbol",
    Outcome.EMPTY: "the vendor answered without any bar",
    Outcome.MALFORMED: "the answer is not what the vendor promises; it is kept, and no row of it is used",
    Outcome.UNREACHABLE: "no whole answer arrived, also after pauses",
    Outcome.UNRECOGNISED: "the vendor said something this client does not know",
    Outcome.NOT_LISTED: "the session is before the symbol's first one",
    Outcome.NOT_RECORDED: "the session is outside the recorded sample",
    Outcome.CLOSED_DAY: "the exchange was closed on that day",
}

REMEDY: dict[Outcome, str] = {
    Outcome.OK: "nothing to do",
    Outcome.LATE: "materialize the session again later; only what is missing is asked for",
    Outcome.UNOBTAINABLE: "take a plan with full history, or a later first session",
    Outcome.THROTTLED: "materialize again later; if it stays, lower STOCK_ASSETS_CALLS_PER_SECOND or _PER_MINUTE",
    Outcome.DAILY_QUOTA: "materialize again on the next quota day (`stock-assets quota` shows when it begins)",
    Outcome.NOT_ENTITLED: "set STOCK_ASSETS_ALPHA_VANTAGE_PLAN to the plan the key has",
    Outcome.BAD_KEY: "set ALPHAVANTAGE_API_KEY to a valid key",
    Outcome.UNKNOWN_SYMBOL: "correct or remove the symbol in the universe file, or give it a last_session",
    Outcome.EMPTY: "check the symbol on the vendor's site; materialize again later",
    Outcome.MALFORMED: "look at the stored answer; materialize again later; tell the vendor if it stays",
    Outcome.UNREACHABLE: "check the network, the proxy and the vendor's status; materialize again later",
    Outcome.UNRECOGNISED: "read the text; if it is a new kind of refusal, add it to the client",
    Outcome.NOT_LISTED: "give the symbol its first_session in the universe file",
    Outcome.NOT_RECORDED: "ask for sessions of the sample, or set STOCK_ASSETS_SOURCE=alpha_vantage",
    Outcome.CLOSED_DAY: "ask for trading sessions only",
}
