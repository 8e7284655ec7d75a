//! The gateway: configuration, stack, server.

pub mod config;
