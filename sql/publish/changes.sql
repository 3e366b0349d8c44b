-- How many rows a publish adds to each table and removes from it.
SELECT audit AS change, COUNT(*) AS changed_rows
FROM (${changes}) AS c
GROUP BY audit
