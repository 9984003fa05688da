//! The formats of everything durable, and the numbered upgrades between them.
