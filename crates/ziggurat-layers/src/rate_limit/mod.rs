//! Limits requests, tokens and parallel calls.
