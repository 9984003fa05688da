-- The price of a bitcoin by minute, weighed by volume: a large trade says more about the price than a small one.
SELECT
    currency,
    date_bin(INTERVAL '1 minute', ts) AS minute,
    sum(price * volume) / sum(volume) AS price,
    sum(volume) AS volume,
    count(*) AS trades
FROM ticks
GROUP BY currency, minute
