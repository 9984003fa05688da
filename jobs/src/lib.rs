//! Versioned stream jobs: a range of the log is a query, and its result is merged into a table.
