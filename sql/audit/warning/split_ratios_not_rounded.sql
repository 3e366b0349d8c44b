-- No split ratio has so few digits that its rounding moves prices: 0.0053 is 1:190 rounded to four decimals, and leaves
-- a jump of 0.7% on the ex-date. The ratio of the vendor is used as it is.
-- False positives: 0 of 12,154 recorded bars.
-- remedy: compare the ratio with the company's announcement. The change of price and the look-back values of the
-- sessions after the ex-date contain the remaining jump; correct them where it matters.
SELECT
    b.symbol,
    b.trade_date,
    'split ' || f.ratio_text || ' of ' || DATE_FORMAT(f.ex_date, '%Y-%m-%d') || ' is rounded; if it is exactly '
        || f.exact_text || ', a jump of ' || CAST(CAST(ROUND((f.split_ratio / f.exact_ratio - 1E0) * 1E2, 3)
            AS DECIMAL(18, 3)) AS VARCHAR)
        || '% remains: the true change is ' || CAST(CAST(ROUND(((b.close_price / b.adjusted_close)
            * (f.exact_ratio / f.split_ratio) - 1E0) * 1E2, 3) AS DECIMAL(18, 3)) AS VARCHAR)
        || '%, the computed one ' || CAST(CAST(ROUND((b.close_price / b.adjusted_close - 1E0) * 1E2, 3)
            AS DECIMAL(18, 3)) AS VARCHAR) || '%' AS detail
FROM ${recent_bars} AS b
JOIN ${rounded_splits} AS f
    ON  f.symbol = b.symbol
    AND f.ex_date > b.previous_date
    AND f.ex_date <= b.trade_date
WHERE b.trade_date BETWEEN ${first_date} AND ${last_date}
  -- False for most rows.
  AND b.split_ratio <> 1E0
