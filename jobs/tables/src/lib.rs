//! Versioned tables: rows, state and positions that commit together.
