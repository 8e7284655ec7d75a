use std::task::{Context, Poll};

use ziggurat_core::{Error, Facts, Frame, Frames};

use super::clock::Clock;

/// Frames, each of which must come in time.
pub(super) struct TimedFrames {
    /// Gone once a time has run out.
    frames: Option<Box<dyn Frames>>,
    /// Gone once the answer is complete.
    clock: Option<Clock>,
}

impl TimedFrames {
    pub(super) fn new(frames: Box<dyn Frames>, mut clock: Clock) -> Self {
        clock.read_frames();
        Self { frames: Some(frames), clock: Some(clock) }
    }

    fn give_up(&mut self, error: Error) -> Poll<Option<Result<Frame, Error>>> {
        self.frames = None;
        self.clock = None;
        Poll::Ready(Some(Err(error)))
    }
}

impl Frames for TimedFrames {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        let Some(frames) = &mut self.frames else {
            return Poll::Ready(None);
        };
        let next = frames.poll_frame(cx);
        let Some(clock) = &mut self.clock else {
            return next;
        };
        match &next {
            Poll::Pending => match clock.poll_ran_out(cx) {
                Poll::Ready(error) => return self.give_up(error),
                Poll::Pending => {}
            },
            Poll::Ready(Some(Ok(frame))) => {
                let facts = frame.facts();
                if let Err(error) = clock.saw(facts) {
                    return self.give_up(error);
                }
                if facts.has(Facts::TERMINATOR) {
                    self.clock = None;
                }
            }
            Poll::Ready(None | Some(Err(_))) => {}
        }
        next
    }

    fn decodes(&self) -> bool {
        self.frames.as_ref().is_some_and(|frames| frames.decodes())
    }
}
