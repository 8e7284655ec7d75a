//! Answers what was answered before.
