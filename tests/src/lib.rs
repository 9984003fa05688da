//! Whole-system tests live in `tests/it`.
