"""Messages that the vendor has sent instead of data, as users and programs have published them, with their source.

Most sources are issues of public clients. "A client" is a public program that compares responses with this text. A text
without a source is a variation of our own: the same claim in words that no rule was written for.
"""

from dataclasses import dataclass

from stock_assets.core.errors import Outcome

_THANKS = "Thank you for using Alpha Vantage!"
_PLANS = "any of the premium plans at https://www.alphavantage.co/premium/"


@dataclass(frozen=True)
class Published:
    """A published message: its field, its text, its meaning, and where it was published."""

    field: str
    text: str
    outcome: Outcome
    source: str = ""


_DAY, _RATE, _KEY = Outcome.DAILY_QUOTA, Outcome.THROTTLED, Outcome.BAD_KEY
_PLAN, _SYMBOL, _UNKNOWN = Outcome.NOT_ENTITLED, Outcome.UNKNOWN_SYMBOL, Outcome.UNRECOGNISED

MESSAGES = (
    Published(
        "Information",
        "We have detected your API key as {key} and our standard API rate limit is 25 requests per day. Please "
        f"subscribe to {_PLANS} to instantly remove all daily rate limits.",
        _DAY,
        "https://github.com/home-assistant/core/issues/109153",
    ),
    Published(
        "Information",
        f"{_THANKS} Our standard API rate limit is 25 requests per day. Please subscribe to {_PLANS} to instantly "
        "remove all daily rate limits.",
        _DAY,
        "https://github.com/home-assistant/core/issues/109153",
    ),
    Published(
        "Information",
        f"{_THANKS} You have reached the 100 requests/day limit for your free API key. Please subscribe to {_PLANS} to "
        "instantly remove all daily rate limits.",
        _DAY,
        "a client",
    ),
    Published("Note", f"{_THANKS} Our standard API rate limit is 25 requests per day.", _DAY, "a client"),
    Published("Information", "standard API rate limit is 25/day", _DAY, "a client"),
    Published("Information", "API call frequency is 25 calls per day.", _DAY, "a client"),
    Published("Information", "API key {key} has reached the 25 requests per day limit.", _DAY, "a client"),
    Published("Information", f"{_THANKS} Your plan allows 500 calls a day.", _DAY),
    Published("Information", "You have used up all requests for today. Upgrade to 75 requests per minute.", _DAY),
    Published("Note", "Daily quota exceeded for this key.", _DAY),
    Published(
        "Note",
        f"{_THANKS} Our standard API call frequency is 5 calls per minute and 500 calls per day. Please visit "
        "https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency.",
        _RATE,
        "https://github.com/RomelTorres/alpha_vantage/issues/248",
    ),
    Published(
        "Note",
        f"{_THANKS} Our standard API call frequency is 5 calls per minute and 100 calls per day. Please visit "
        "https://www.alphavantage.co/premium/ if you would like to target a higher API call frequency.",
        _RATE,
        "a client",
    ),
    Published(
        "Information",
        f"{_THANKS} Please consider spreading out your free API requests more sparingly. You may subscribe to {_PLANS} "
        "to lift the free key rate limit (25 requests per day) and instantly unlock all premium endpoints",
        _RATE,
        "https://github.com/beancount/beanprice/issues/124",
    ),
    Published(
        "Information",
        f"{_THANKS} Please consider spreading out your free API requests more sparingly (1 request per second). You "
        f"may subscribe to {_PLANS} to lift the free key rate limit (25 requests per day), raise the per-second burst "
        "limit, and instantly unlock all premium endpoints",
        _RATE,
        "https://github.com/finance-quote/finance-quote/issues/546",
    ),
    Published(
        "Information",
        f"{_THANKS} Please kindly contact support@alphavantage.co if you would like to have a higher API call volume",
        _RATE,
        "https://github.com/RomelTorres/alpha_vantage/issues/62",
    ),
    Published(
        "Information",
        f"{_THANKS} Please visit https://www.alphavantage.co/premium/ if you would like to have a higher API call "
        "volume.",
        _RATE,
        "https://github.com/RomelTorres/alpha_vantage/issues/80",
    ),
    Published(
        "Information",
        f"{_THANKS} Please contact premium@alphavantage.co if you are targeting a higher API call volume.",
        _RATE,
        "a client",
    ),
    Published(
        "Information",
        "Burst pattern detected. Please consider spreading out your API requests more evenly across a 1-minute window "
        "and query no more than 20 requests per second. Please contact support@alphavantage.co if you are targeting a "
        "higher API request volume.",
        _RATE,
        "a client",
    ),
    Published(
        "Information",
        "Minute-level rate limit exceed. Please stay under the number of API requests per minute for your premium "
        "subscription plan. Please contact support@alphavantage.co if you are targeting a higher API request volume.",
        _RATE,
        "a client",
    ),
    Published("Note", f"{_THANKS} Our standard API rate limit is reached.", _RATE, "a client"),
    Published("message", "Too many requests", _RATE),
    Published(
        "Information",
        "The **demo** API key is for demo purposes only. Please claim your free API key at "
        "(https://www.alphavantage.co/support/#api-key) to explore our full API offerings. It takes fewer than 20 "
        "seconds, and we are committed to making it free forever.",
        _KEY,
        "a client",
    ),
    Published("Information", "The {key} API key is for {key} purposes only.", _KEY),
    Published(
        "Error Message",
        "the parameter apikey is invalid or missing. Please claim your free API key on "
        "(https://www.alphavantage.co/support/#api-key). It should take less than 20 seconds.",
        _KEY,
        "a client",
    ),
    Published("Error Message", "Invalid API key {key}", _KEY, "a client"),
    Published("Information", "Your API key {key} has been suspended.", _KEY),
    Published("error", "API key not found", _KEY),
    Published(
        "Information",
        f"{_THANKS} The outputsize=full parameter value is a premium feature for the TIME_SERIES_DAILY endpoint. You "
        f"may subscribe to {_PLANS} to instantly unlock all premium features",
        _PLAN,
        "https://www.alphavantage.co/documentation/",
    ),
    Published(
        "Information",
        f"{_THANKS} This is a premium endpoint. You may subscribe to {_PLANS} to instantly unlock all premium "
        "endpoints",
        _PLAN,
        "a client",
    ),
    Published("Information", "The daily adjusted endpoint is now a premium endpoint.", _PLAN),
    Published(
        "Error Message",
        "Invalid API call. Please retry or visit the documentation (https://www.alphavantage.co/documentation/) for "
        "TIME_SERIES_DAILY.",
        _SYMBOL,
        "https://github.com/RomelTorres/alpha_vantage",
    ),
    Published("Error Message", "This symbol is not supported.", _SYMBOL),
    Published("Information", "Our premium daily newsletter has moved, {key}.", _UNKNOWN),
    Published("Note", "The key to success is patience.", _UNKNOWN),
)
