//! How far a flight is, and who follows it.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use smallvec::SmallVec;
use ziggurat_core::{Error, Frame, Guard, Reply, Scope, Usage};

use super::landing::Landing;
use super::plan::Asked;

pub(super) struct State {
    pub(super) work: Work,
    /// Keeps the flight's books open until there is a reply to do that.
    pub(super) guard: Option<Guard>,
    pub(super) landing: Option<Landing>,
    pub(super) frames: VecDeque<Frame>,
    /// The number of the first frame that is still here.
    pub(super) first: u64,
    /// What the frames that are here weigh, in bytes.
    pub(super) bytes: usize,
    /// Room for the bytes of the next ones.
    pub(super) room: BytesMut,
    /// Whether all frames are here, from the first on.
    pub(super) recording: bool,
    /// Whether what is recorded may be kept.
    pub(super) keep: bool,
    /// Whether somebody waits for the slowest.
    pub(super) blocked: bool,
    pub(super) end: Option<Result<(), Error>>,
    pub(super) followers: SmallVec<[Follower; 2]>,
    pub(super) next: u64,
    /// To whose books the flight's go.
    pub(super) bearer: Option<Scope>,
    /// What its books said of usage, once they are closed.
    pub(super) usage: Option<Option<Usage>>,
}

pub(super) enum Work {
    Asking(Asked),
    // In a box: it is taken out and put back for every frame.
    Reading(Box<Reply>),
    /// Somebody is driving it.
    Out,
    Done,
}

pub(super) struct Follower {
    pub(super) id: u64,
    pub(super) scope: Option<Scope>,
    /// The number of the frame to read next.
    pub(super) next: u64,
    pub(super) bears: bool,
}

/// Frames below so many bytes are copied when they are recorded.
const SMALL: usize = 4 << 10;
/// What is allocated for copies at once, in bytes.
const ROOM: usize = 4 << 10;

impl State {
    /// A frame that may be kept for long. Its bytes are a slice of what the transport read into, all of which would stay as long
    /// as a few words in it do.
    pub(super) fn own(&mut self, frame: Frame) -> Frame {
        let withheld = frame.withheld().map(|bytes| self.copy(bytes));
        let bytes = self.copy(frame.bytes());
        let mut frame = frame.with_bytes(bytes);
        frame.detach_events();
        if let Some(bytes) = withheld {
            frame.set_withheld(bytes);
        }
        frame
    }

    fn copy(&mut self, bytes: &Bytes) -> Bytes {
        if bytes.is_empty() || bytes.len() >= SMALL {
            return bytes.clone();
        }
        if self.room.capacity() < bytes.len() {
            self.room = BytesMut::with_capacity(ROOM);
        }
        self.room.extend_from_slice(bytes);
        self.room.split().freeze()
    }

    /// Where a follower is among the others: numbers only grow, and those who leave do not change the order.
    pub(super) fn find(&self, id: u64) -> Option<usize> {
        self.followers.binary_search_by_key(&id, |follower| follower.id).ok()
    }

    /// Takes out what all have read, once it is not recorded any more; whether somebody waited for that.
    pub(super) fn trim(&mut self) -> (SmallVec<[Frame; 1]>, bool) {
        let mut read = SmallVec::new();
        if self.recording {
            return (read, false);
        }
        let slowest = self.followers.iter().map(|follower| follower.next).min();
        while self.first < slowest.unwrap_or(u64::MAX)
            && let Some(frame) = self.frames.pop_front()
        {
            self.first += 1;
            self.bytes -= weight(&frame);
            read.push(frame);
        }
        let wake = self.blocked && !read.is_empty();
        self.blocked &= !wake;
        (read, wake)
    }
}

/// What a frame weighs while it is recorded: itself, its bytes, its events.
pub(super) fn weight(frame: &Frame) -> usize {
    let events = frame.events().map_or(0, size_of_val);
    size_of::<Frame>() + frame.bytes().len() + frame.withheld().map_or(0, Bytes::len) + events
}
