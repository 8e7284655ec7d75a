//! The stores behind the layers of the Ziggurat LLM gateway.
