//! Chooses a deployment.
