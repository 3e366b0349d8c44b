-- Sessions with missing symbols, and sessions after a session without any bar, newest first. The tables contain no
-- exchange calendar. A regular weekend with a holiday takes 4 days, so a longer distance means that a session is
-- missing, except after the three longer closings of the exchange: September 2001, President Ford's funeral in 2007,
-- Hurricane Sandy in 2012.
SELECT
    trade_date,
    expected_symbols,
    published_symbols,
    quarantined_symbols,
    missing_symbols,
    days_since_previous
FROM ${coverage} AS c
WHERE ${dates}
    AND (
        coverage_pct < 1E2
        OR (days_since_previous > 4 AND trade_date NOT IN (DATE '2001-09-17', DATE '2007-01-03', DATE '2012-10-31'))
    )
ORDER BY trade_date DESC
LIMIT 100
