//! One request on its way through the layers.

use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, Method, Uri};

use crate::settle::{Guard, Scope, Settlement};
use crate::{
    Caller, Chat, Controls, Dialect, Error, Instant, LossPolicy, Message, Operation, Part, Payload,
    Role, Str, Typed,
};

/// One request. Cloning copies nothing: a retry keeps a clone and a body is never duplicated.
///
/// ```
/// use ziggurat_core::Call;
///
/// let call = Call::chat("anthropic/claude-sonnet-4").system("Be brief.").user("Hello!");
/// assert_eq!(call.model(), "anthropic/claude-sonnet-4");
/// assert_eq!(call.payload().chat().unwrap().messages.len(), 1);
/// ```
#[derive(Clone, Debug)]
pub struct Call {
    head: Arc<CallHead>,
    model: Str,
    stream: bool,
    payload: Payload,
    caller: Caller,
    deadline: Option<Instant>,
    loss_policy: Option<LossPolicy>,
    controls: Option<Arc<Controls>>,
    scope: Option<Scope>,
}

/// The HTTP head of a request as it came, and what the front door knows about it.
///
/// Its `Debug` shows neither headers nor query, where credentials may be.
#[non_exhaustive]
pub struct CallHead {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// The headers, credentials included: they never go on to a provider.
    pub headers: HeaderMap,
    /// The dialect the caller speaks; `None` for a call built in code.
    pub dialect: Option<Dialect>,
    /// Our own name for the call.
    pub id: Str,
    /// The caller's name for the request, else the same as `id`.
    pub request_id: Str,
    /// When the call came.
    pub received: Instant,
}

impl CallHead {
    /// The head of a call that came over HTTP.
    #[must_use]
    pub fn new(
        method: Method,
        uri: Uri,
        headers: HeaderMap,
        dialect: Option<Dialect>,
        id: Str,
        request_id: Str,
    ) -> Self {
        Self { method, uri, headers, dialect, id, request_id, received: Instant::now() }
    }

    fn in_code() -> Self {
        let id = Str::from(format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..)));
        let headers = HeaderMap::new();
        Self::new(Method::POST, Uri::default(), headers, None, id.clone(), id)
    }
}

impl fmt::Debug for CallHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallHead")
            .field("method", &self.method)
            .field("path", &self.uri.path())
            .field("dialect", &self.dialect)
            .field("id", &self.id)
            .field("request_id", &self.request_id)
            .finish_non_exhaustive()
    }
}

impl Call {
    /// A call for this model.
    pub fn new(head: Arc<CallHead>, model: impl Into<Str>, stream: bool, payload: Payload) -> Self {
        Self {
            head,
            model: model.into(),
            stream,
            payload,
            caller: Caller::anonymous(),
            deadline: None,
            loss_policy: None,
            controls: None,
            scope: None,
        }
    }

    /// A conversation with this model, to be filled by [`system`](Self::system), [`user`](Self::user) and their like.
    pub fn chat(model: impl Into<Str>) -> Self {
        let payload = Payload::typed(Typed::Chat(Arc::new(Chat::new())));
        Self::new(Arc::new(CallHead::in_code()), model, false, payload)
    }

    /// Adds to the system prompt.
    #[must_use]
    pub fn system(self, text: impl Into<Str>) -> Self {
        self.with_chat(|chat| chat.system.push(Part::text(text)))
    }

    /// Adds what the user says.
    #[must_use]
    pub fn user(self, text: impl Into<Str>) -> Self {
        self.message(Message::text(Role::User, text))
    }

    /// Adds what the model said.
    #[must_use]
    pub fn assistant(self, text: impl Into<Str>) -> Self {
        self.message(Message::text(Role::Assistant, text))
    }

    /// Adds a message.
    #[must_use]
    pub fn message(self, message: Message) -> Self {
        self.with_chat(|chat| chat.messages.push(message))
    }

    /// Bounds the answer, in tokens.
    #[must_use]
    pub fn max_output_tokens(self, tokens: u64) -> Self {
        self.with_chat(|chat| chat.max_output_tokens = Some(tokens))
    }

    /// Asks for the answer in pieces.
    #[must_use]
    pub fn streamed(mut self) -> Self {
        self.stream = true;
        self.with_chat(|chat| {
            chat.stream = true;
            chat.stream_usage = Some(true);
        })
    }

    /// Changes the conversation; on a wire payload that cannot be decoded it does nothing, and whoever decodes it later gets
    /// the error.
    #[must_use]
    pub fn with_chat(mut self, edit: impl FnOnce(&mut Chat)) -> Self {
        drop(self.payload.edit_chat(edit));
        self
    }

    /// The head.
    #[must_use]
    pub fn head(&self) -> &Arc<CallHead> {
        &self.head
    }

    /// Our own name for the call.
    #[must_use]
    pub fn id(&self) -> &Str {
        &self.head.id
    }

    /// The dialect the caller speaks.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.head.dialect
    }

    /// The model asked for.
    #[must_use]
    pub fn model(&self) -> &Str {
        &self.model
    }

    /// Asks for another model (an alias, a fallback).
    pub fn set_model(&mut self, model: impl Into<Str>) {
        self.model = model.into();
    }

    /// What is asked for.
    #[must_use]
    pub fn operation(&self) -> Operation {
        self.payload.operation()
    }

    /// Whether the answer comes in pieces.
    #[must_use]
    pub fn is_streamed(&self) -> bool {
        self.stream
    }

    /// The body.
    #[must_use]
    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The body, to change.
    pub fn payload_mut(&mut self) -> &mut Payload {
        &mut self.payload
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Says who asks.
    pub fn set_caller(&mut self, caller: Caller) {
        self.caller = caller;
    }

    /// When the answer must be complete.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Says when the answer must be complete; an earlier deadline stays.
    pub fn set_deadline(&mut self, deadline: Instant) {
        self.deadline = Some(self.deadline.map_or(deadline, |old| old.min(deadline)));
    }

    /// The caller's own loss policy.
    #[must_use]
    pub fn loss_policy(&self) -> Option<LossPolicy> {
        self.loss_policy
    }

    /// Sets the caller's own loss policy.
    pub fn set_loss_policy(&mut self, policy: LossPolicy) {
        self.loss_policy = Some(policy);
    }

    /// What the caller tells the layers, beside the dialect's own parameters.
    #[must_use]
    pub fn controls(&self) -> &Controls {
        self.controls.as_deref().unwrap_or(Controls::NONE)
    }

    /// What the caller tells the layers, to change. Other clones of the call keep theirs.
    pub fn controls_mut(&mut self) -> &mut Controls {
        Arc::make_mut(self.controls.get_or_insert_default())
    }

    /// Where the end of this call, or of this attempt at it, is announced.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Puts the call into a scope: the settlement's, or an attempt's.
    pub fn set_scope(&mut self, scope: Scope) {
        self.scope = Some(scope);
    }

    /// Takes the call out of its scope, for one that shall have books of its own (a flight, a probe).
    pub fn clear_scope(&mut self) {
        self.scope = None;
    }

    /// The scope, and the guard if it had to be opened here: the first layer that meets a call without a settlement opens it,
    /// and holds the guard until it hands it to the reply.
    pub fn open_scope(&mut self) -> (Scope, Option<Guard>) {
        if let Some(scope) = &self.scope {
            return (scope.clone(), None);
        }
        let guard = Settlement::open();
        let scope = guard.scope();
        self.scope = Some(scope.clone());
        (scope, Some(guard))
    }

    /// Registers for the end of the call or attempt.
    ///
    /// # Errors
    ///
    /// When the call is already over, or was never put into a scope.
    pub fn register(
        &self,
        settle: Arc<dyn crate::Settle>,
        ticket: crate::Ticket,
    ) -> Result<(), Error> {
        match &self.scope {
            Some(scope) => scope.register(settle, ticket).map_err(|_| Error::closed()),
            None => Err(Error::closed()),
        }
    }
}
