//! A provider's stream as frames.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Buf;
use http_body::Body as HttpBody;
use tokio::time::Sleep;

use ziggurat_core::{
    BoxError, CutOptions, Cutter, Dialect, Error, Facts, Frame, Frames, Restore, Str, StreamDecoder,
};

use super::response::broken;

/// How much is read past the last event, in bytes, and for how long, so that the connection can serve again.
const MAX_TAIL: usize = 64 << 10;
const TAIL_TIME: Duration = Duration::from_secs(1);

/// Reads a provider's body and cuts it into frames: at most one read for each frame that is asked for.
pub(super) struct WireFrames<B> {
    body: Option<Pin<Box<B>>>,
    cutter: Box<dyn Cutter>,
    events: Events,
    /// Whether something is undone in the events, so that they differ from the bytes.
    restores: bool,
    deployment: Option<Str>,
    state: State,
}

/// Who reads the events.
enum Events {
    /// Nobody: what comes is forwarded.
    Unread,
    /// The cutter, as it reads the facts.
    Carried,
    Decoded(Box<dyn StreamDecoder>),
}

enum State {
    /// Events are coming.
    Open,
    /// An error event came: the end may follow without the terminator.
    Failed,
    /// An event could not be read. What came before it in the same frame went on first.
    Broken(Error),
    /// The terminator came: the rest is read and thrown away.
    Tail {
        read: usize,
        clock: Option<Pin<Box<Sleep>>>,
    },
    Done,
}

impl<B> WireFrames<B>
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send,
{
    pub(super) fn new(
        body: B,
        dialect: Dialect,
        options: &CutOptions,
        decode: Option<&Restore>,
        deployment: Option<Str>,
    ) -> Self {
        let mut cutter = dialect.cutter(options);
        let events = match decode {
            None => Events::Unread,
            Some(restore) if cutter.carry_events(restore) => Events::Carried,
            Some(restore) => Events::Decoded(dialect.decoder(restore)),
        };
        Self {
            body: Some(Box::pin(body)),
            cutter,
            events,
            restores: decode.is_some_and(|restore| !restore.is_empty()),
            deployment,
            state: State::Open,
        }
    }

    /// A frame was cut: decodes it, if that is wanted, and takes note of how far the stream is.
    fn deliver(&mut self, cx: &mut Context<'_>, mut frame: Frame) -> Result<Frame, Error> {
        let mut events = Vec::new();
        if let Events::Decoded(decoder) = &mut self.events {
            let withheld = frame.withheld().cloned().unwrap_or_default();
            let decoded = decoder.decode(frame.bytes(), &mut events);
            if let Err(error) = decoded.and_then(|()| decoder.decode(&withheld, &mut events)) {
                if events.is_empty() {
                    return Err(error);
                }
                // What was said before is said and costs, in however few reads it came.
                self.state = State::Broken(error);
                return Ok(Frame::of_events(events));
            }
            // Some servers never send their terminator: the decoder is told, so that it closes what is open.
            if frame.facts().has(Facts::TERMINATOR) {
                decoder.finish(&mut events);
            }
        }
        if self.decodes() {
            frame.add_events(&mut events);
            if self.restores {
                frame.edit(|_| {});
            }
        }
        if frame.facts().has(Facts::TERMINATOR) {
            self.state = State::Tail { read: 0, clock: None };
            // What is there already costs nothing to read, and mostly it is the end: then the connection is free at once, even if
            // nobody asks again.
            let _ = self.read_tail(cx);
        } else if frame.facts().has(Facts::ERROR) {
            self.state = State::Failed;
        }
        Ok(frame)
    }

    fn read_tail(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let State::Tail { read, clock } = &mut self.state else { return Poll::Ready(()) };
        while let Some(body) = &mut self.body {
            match body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    *read += frame.data_ref().map_or(0, Buf::remaining);
                    if *read > MAX_TAIL {
                        break;
                    }
                }
                Poll::Ready(_) => break,
                Poll::Pending => {
                    let clock =
                        clock.get_or_insert_with(|| Box::pin(tokio::time::sleep(TAIL_TIME)));
                    if clock.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    break;
                }
            }
        }
        self.body = None;
        self.state = State::Done;
        Poll::Ready(())
    }

    fn fail(&mut self, error: Error) -> Poll<Option<Result<Frame, Error>>> {
        self.body = None;
        self.state = State::Done;
        let error = match (&self.deployment, error.deployment()) {
            (Some(deployment), None) => error.with_deployment(deployment.clone()),
            _ => error,
        };
        Poll::Ready(Some(Err(error)))
    }
}

impl<B> Frames for WireFrames<B>
where
    B: HttpBody<Data: Send, Error: Into<BoxError>> + Send,
{
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        loop {
            match self.state {
                State::Open | State::Failed => {}
                State::Tail { .. } => return self.read_tail(cx).map(|()| None),
                State::Done => return Poll::Ready(None),
                State::Broken(_) => {
                    return match std::mem::replace(&mut self.state, State::Done) {
                        State::Broken(error) => self.fail(error),
                        _ => Poll::Ready(None),
                    };
                }
            }
            match self.cutter.next_frame() {
                Ok(Some(frame)) => {
                    return match self.deliver(cx, frame) {
                        Ok(frame) => Poll::Ready(Some(Ok(frame))),
                        Err(error) => self.fail(error),
                    };
                }
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
            let Some(body) = &mut self.body else {
                self.state = State::Done;
                return Poll::Ready(None);
            };
            match body.as_mut().poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(mut data) = frame.into_data() {
                        let length = data.remaining();
                        self.cutter.push(data.copy_to_bytes(length));
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    if matches!(self.state, State::Failed) {
                        self.state = State::Done;
                        continue;
                    }
                    return self.fail(broken(error.into()));
                }
                Poll::Ready(None) => {
                    self.body = None;
                    match self.cutter.finish() {
                        Ok(Some(frame)) => {
                            let delivered = self.deliver(cx, frame);
                            if matches!(self.state, State::Open | State::Failed) {
                                self.state = State::Done;
                            }
                            return match delivered {
                                Ok(frame) => Poll::Ready(Some(Ok(frame))),
                                Err(error) => self.fail(error),
                            };
                        }
                        Ok(None) => self.state = State::Done,
                        Err(_) if matches!(self.state, State::Failed) => self.state = State::Done,
                        Err(error) => return self.fail(error),
                    }
                }
            }
        }
    }

    fn decodes(&self) -> bool {
        !matches!(self.events, Events::Unread)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use bytes::Bytes;
    use ziggurat_core::{Body, CutOptions, Event, Restore, Segments};
    use ziggurat_dialects::ANTHROPIC;

    use super::*;

    /// In one read the whole frame was lost with the event that could not be read: its text, and the tokens it had cost.
    #[test]
    fn what_came_before_a_malformed_event_counts_however_it_came() {
        let events = [
            r#"{"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":7,"output_tokens":1}}}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi"}}"#,
            r#"{"type":"content_block_delta","#,
            r#"{"type":"message_stop"}"#,
        ];
        let pieces = events.map(|event| Bytes::from(format!("data: {event}\n\n")));
        for body in
            [Body::from(Bytes::from(pieces.concat())), Body::segments(Segments::from_iter(pieces))]
        {
            let (options, restore) = (CutOptions::default(), Restore::default());
            let deployment = Some("d".into());
            let mut frames = WireFrames::new(body, ANTHROPIC, &options, Some(&restore), deployment);
            let mut cx = Context::from_waker(Waker::noop());
            let (mut text, mut input) = (String::new(), None);
            let error = loop {
                let Poll::Ready(next) = frames.poll_frame(&mut cx) else {
                    panic!("it is all there")
                };
                match next {
                    Some(Ok(frame)) => {
                        assert!(!frame.facts().has(Facts::TERMINATOR));
                        input = frame.usage().and_then(|usage| usage.input).or(input);
                        for event in frame.events().unwrap_or_default() {
                            if let Event::Text { text: more, .. } = event {
                                text.push_str(more);
                            }
                        }
                    }
                    Some(Err(error)) => break error,
                    None => panic!("it is no success"),
                }
            };
            assert_eq!((text.as_str(), input, error.deployment()), ("Hi", Some(7), Some("d")));
            assert!(matches!(frames.poll_frame(&mut cx), Poll::Ready(None)));
        }
    }
}
