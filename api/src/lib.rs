//! The way in: REST, command line and the server that wires the rooms together.
