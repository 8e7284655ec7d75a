use std::task::{Context, Poll};

use smallvec::SmallVec;
use ziggurat_core::{Error, Frame, Frames};

/// The frames that were held back, then the rest.
pub(super) struct Replayed {
    held: smallvec::IntoIter<[Frame; 4]>,
    rest: Box<dyn Frames>,
}

impl Replayed {
    pub(super) fn new(held: SmallVec<[Frame; 4]>, rest: Box<dyn Frames>) -> Self {
        Self { held: held.into_iter(), rest }
    }
}

impl Frames for Replayed {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame, Error>>> {
        match self.held.next() {
            Some(frame) => Poll::Ready(Some(Ok(frame))),
            None => self.rest.poll_frame(cx),
        }
    }

    fn decodes(&self) -> bool {
        self.rest.decodes()
    }
}
