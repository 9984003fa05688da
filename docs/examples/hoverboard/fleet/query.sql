-- Each hoverboard as it was last reported.
SELECT id, model, status, battery FROM hoverboard
