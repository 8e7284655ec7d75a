//! Asks whether a caller may use a model, and these parameters.
