-- How much each hoverboard was ridden on each day (UTC). A trip counts on the day on which it began.
SELECT
    hoverboard_id,
    date_bin(INTERVAL '1 day', started_at) AS day,
    count(*) AS trips,
    sum(metres) AS metres,
    sum(date_part('epoch', ended_at) - date_part('epoch', started_at)) / 60 AS minutes,
    max(metres) AS longest
FROM trip
GROUP BY hoverboard_id, day
