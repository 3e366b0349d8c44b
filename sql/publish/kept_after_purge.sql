-- The rows of a published table, in a range of days, that stay after the history of a symbol is purged.
SELECT ${columns}
FROM ${published_rows} AS p
WHERE trade_date BETWEEN ${first_date} AND ${last_date}
  AND symbol <> ${symbol}
