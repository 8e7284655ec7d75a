//! Bugs that gateways are known for.
