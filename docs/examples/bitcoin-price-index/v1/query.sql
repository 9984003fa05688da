-- The price of a bitcoin by minute: the mean of all trades.
SELECT
    currency,
    date_bin(INTERVAL '1 minute', ts) AS minute,
    avg(price) AS price,
    sum(volume) AS volume,
    count(*) AS trades
FROM ticks
GROUP BY currency, minute
