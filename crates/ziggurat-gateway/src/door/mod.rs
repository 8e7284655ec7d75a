//! What stands over http, before a request is a call: limits, pages, health, keys.

pub mod admin;
mod aside;
pub mod auth;
pub mod cors;
pub mod either;
pub mod endpoints;
pub mod health;
pub mod limits;
mod query;
mod reload;
