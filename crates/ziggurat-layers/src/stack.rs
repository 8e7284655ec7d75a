//! The layers in their one right order.
