//! Asks another model when this one fails.
