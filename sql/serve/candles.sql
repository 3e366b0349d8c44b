-- Split-adjusted bars of a candlestick chart, with the shape of each candle.
SELECT symbol, trade_date, open_price, high_price, low_price, close_price, volume, is_market_up, candle_type
FROM ${price_trends} AS t
