//! Where LLM providers are and what their models can do, as data.
//!
//! Three tables are compiled in, read at first use and never changed: the providers that speak a dialect of ours
//! ([`providers`]), what the translation must know of models ([`capabilities`]), and what they cost ([`Catalogue`], [`price`]), which a
//! [`PriceMap`] of one's own can be laid over. Names are those of LiteLLM:
//! `provider/model`, or a model that everybody knows by its bare name.
//!
//! ```
//! # fn main() -> Result<(), ziggurat_providers::UnknownModel> {
//! let found = ziggurat_providers::resolve("groq/llama-3.3-70b-versatile")?;
//! assert_eq!(found.provider.base_url(), Some("https://api.groq.com/openai/v1"));
//! assert_eq!(found.model, "llama-3.3-70b-versatile");
//!
//! let opus = ziggurat_providers::capabilities("anthropic", "claude-opus-4-8");
//! assert!(opus.thinking_adaptive && !opus.sampling);
//! # Ok(())
//! # }
//! ```
//!
//! Nothing here opens a socket or reads the environment, but for the credentials of the features `aws` and `oauth`: where variables matter, the
//! caller lends a function that looks them up. A model that is in no table is assumed to be able to do everything, and its price is unknown.

#[cfg(feature = "aws")]
pub mod aws;
#[cfg(any(feature = "aws", feature = "oauth"))]
mod cached;
mod capabilities;
mod catalogue;
mod model;
#[cfg(feature = "oauth")]
pub mod oauth;
mod pattern;
mod provider;
mod resolve;
mod tokens;

pub use capabilities::{BadTable, Table, capabilities};
pub use catalogue::{
    ABILITIES, BadPriceMap, Catalogue, CatalogueBuilder, Model, PriceMap, price, set_rate,
};
pub use provider::{BadProviders, NoAddress, Place, Provider, Providers, provider, providers};
pub use resolve::{Resolved, UnknownModel, resolve};
pub use tokens::{Encoding, count_chat, count_text};
