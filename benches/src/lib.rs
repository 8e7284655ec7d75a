//! What it costs: the parts shared by the programs that measure the gateway against a bare proxy.
//!
//! | program | what it is |
//! | --- | --- |
//! | `bare-proxy` | the baseline: a hyper server and a hyper client, nothing between them |
//! | `fake-upstream` | a provider with fixed answers that costs next to nothing |
//! | `load` | callers that keep their connections busy and check every answer |
//! | `compare` | one whole run: starts the three and the gateway, and reports the ratios |
//! | `soak` | a long run over providers that fail: is every call accounted for, and is memory flat? |
//!
//! The upstream and the callers speak HTTP/1.1 through [`http1`] rather than a library: on a machine
//! of two cores they share one, and whatever they burn there is a ceiling over the server under test.

pub mod answer;
pub mod http1;
pub mod load;
pub mod needle;
pub mod process;
pub mod prompt;
pub mod rewritten;
pub mod script;
pub mod stats;
