//! What to do about a client that leaves.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ziggurat_core::Call;

/// What becomes of a call whose client leaves before it has its answer.
///
/// The [front door](crate::FrontDoorLayer::disconnect) asks for it call by call, so that a model group, a route or a caller may
/// have its own.
///
/// ```
/// use std::time::Duration;
/// use ziggurat_http::{Disconnect, FrontDoorLayer};
///
/// let door = FrontDoorLayer::new().disconnect(|call| match call.model().as_str() {
///     // Expensive answers that others will ask for as well: the cache below is filled though the first asker left.
///     "reports" => Disconnect::drain().at_most_time(Duration::from_secs(60)),
///     // A few words more, and the provider tells what it counted.
///     "chat" => Disconnect::drain().at_most_tokens(200).at_most_time(Duration::from_secs(5)),
///     _ => Disconnect::Cut,
/// });
/// # let _ = door;
/// ```
///
/// # What a drain does
///
/// When the client leaves, the question to the layers, or the reply that is being read, moves into a background task together
/// with the call's settlement, its place in [admission](crate::AdmissionLayer), and all that both hold. The task goes on
/// reading and throws away what it reads, so that usage is learnt and a cache below is filled. The call is settled there:
/// later, and still exactly once.
///
/// | what comes first | how the call ends |
/// | --- | --- |
/// | the terminator, or the whole answer | success |
/// | an error, before the answer or within it | that failure |
/// | more output than `tokens` | cancelled; usage as told so far, else estimated |
/// | the end of `time` | cancelled, likewise |
/// | the call's deadline | failure, a timeout |
/// | the end of the program ([`shutdown`](crate::FrontDoorLayer::shutdown)) | failure, overloaded |
/// | a panic in a layer | cancelled |
///
/// A call is cut, whatever is asked for:
///
/// - while its request is still being read: there is no call yet;
/// - when as many drains run as [`Drains`](crate::Drains) allows;
/// - when the future or body is dropped outside of a tokio runtime, or by a panic;
/// - when the answer is passed through raw (speech, files), which says nothing of usage.
///
/// A client that leaves after the terminator has left nothing to drain.
///
/// | setting | default |
/// | --- | --- |
/// | the policy | [`Cut`](Self::Cut) |
/// | `tokens` of a drain | no bound |
/// | `time` of a drain | no bound but the call's deadline |
/// | [`Drains`](crate::Drains): how many at once | 256 |
///
/// A call that would be cut costs nothing more than before. One that would be drained costs two allocations: the question is
/// asked in a box, because it may have to move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Disconnect {
    /// The call is cancelled at once, down to the request to the provider.
    #[default]
    Cut,
    /// The answer is read on in the background.
    #[non_exhaustive]
    Drain {
        /// The most output tokens that are read on; about one is counted for each event with content. The frame that goes past
        /// it is the last.
        tokens: Option<u64>,
        /// The longest time that is read on.
        time: Option<Duration>,
    },
}

/// The policy of a front door, where there is one.
#[derive(Clone, Default)]
pub(crate) struct Policy(Option<Arc<Choose>>);

type Choose = dyn Fn(&Call) -> Disconnect + Send + Sync;

// === impl Disconnect ===

impl Disconnect {
    /// Reads on, without a bound of its own.
    #[must_use]
    pub const fn drain() -> Self {
        Self::Drain { tokens: None, time: None }
    }

    /// Bounds a drain in output tokens. A cut stays one.
    #[must_use]
    pub const fn at_most_tokens(self, most: u64) -> Self {
        match self {
            Self::Cut => Self::Cut,
            Self::Drain { time, .. } => Self::Drain { tokens: Some(most), time },
        }
    }

    /// Bounds a drain in time. A cut stays one.
    #[must_use]
    pub const fn at_most_time(self, most: Duration) -> Self {
        match self {
            Self::Cut => Self::Cut,
            Self::Drain { tokens, .. } => Self::Drain { tokens, time: Some(most) },
        }
    }
}

// === impl Policy ===

impl Policy {
    pub(crate) fn new(policy: impl Fn(&Call) -> Disconnect + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(policy)))
    }

    /// Whether any call may be drained.
    pub(crate) fn is_set(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn of(&self, call: &Call) -> Disconnect {
        self.0.as_ref().map_or(Disconnect::Cut, |policy| policy(call))
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_set() { "by call" } else { "cut" })
    }
}
