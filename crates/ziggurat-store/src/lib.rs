//! The stores behind the layers of the Ziggurat LLM gateway: what several gateways share.

#[cfg(feature = "redis")]
pub mod redis;
