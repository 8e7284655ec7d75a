//! Which time runs out next, and one timer for all of them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Sleep, sleep_until};
use ziggurat_core::{Error, ErrorKind, Facts, Instant, Origin};

/// How long one waits for what. `None` is for ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) first_content: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) attempt: Option<Duration>,
}

impl Limits {
    fn is_empty(&self) -> bool {
        self.first_content.is_none() && self.idle.is_none() && self.attempt.is_none()
    }
}

/// The clocks of one call.
pub(super) struct Clock {
    limits: Limits,
    started: Instant,
    /// Whether the first content is waited for.
    wants_content: bool,
    /// Whether frames are read, so that silence counts.
    reads_frames: bool,
    /// Since when the provider keeps one waiting.
    silent_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// A clock that can run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hand {
    FirstContent,
    Idle,
    Attempt,
}

impl Clock {
    /// Starts the clocks; `None` when there is none. `streamed` tells whether the answer is expected in pieces.
    pub(super) fn start(limits: Limits, streamed: bool) -> Option<Self> {
        (!limits.is_empty()).then(|| Self {
            limits,
            started: Instant::now(),
            wants_content: streamed,
            reads_frames: false,
            silent_since: None,
            timer: None,
        })
    }

    /// The head has come, and frames will.
    pub(super) fn read_frames(&mut self) {
        self.reads_frames = true;
        // Asked for or not, the answer comes in pieces.
        self.wants_content = true;
    }

    /// Something came. An error when it came too late to go on.
    pub(super) fn saw(&mut self, facts: Facts) -> Result<(), Error> {
        self.silent_since = None;
        if facts.any(Facts::CONTENT | Facts::STOP | Facts::ERROR | Facts::TERMINATOR) {
            self.wants_content = false;
        }
        // Where frames are always ready nobody waits for the timer, but a timer that was set says cheaply that it is not
        // yet time.
        if self.timer.as_ref().is_some_and(|timer| !timer.is_elapsed())
            || facts.has(Facts::TERMINATOR)
        {
            return Ok(());
        }
        match self.next() {
            Some((at, hand)) if at <= Instant::now() => Err(self.ran_out(hand)),
            _ => Ok(()),
        }
    }

    /// Ready when a time has run out. To be called when the provider has nothing.
    pub(super) fn poll_ran_out(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        if self.reads_frames && self.limits.idle.is_some() {
            self.silent_since.get_or_insert_with(Instant::now);
        }
        let Some((at, hand)) = self.next() else {
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        loop {
            ready!(timer.as_mut().poll(cx));
            if timer.deadline() >= at {
                return Poll::Ready(self.ran_out(hand));
            }
            // It was set before the last frame came.
            timer.as_mut().reset(at);
        }
    }

    /// Which time runs out next, and when.
    fn next(&self) -> Option<(Instant, Hand)> {
        let after = |start: Option<Instant>, limit: Option<Duration>, hand| {
            // A limit past the end of time is none.
            Some((start?.checked_add(limit?)?, hand))
        };
        let started = Some(self.started);
        let hands = [
            after(
                started.filter(|_| self.wants_content),
                self.limits.first_content,
                Hand::FirstContent,
            ),
            after(self.silent_since, self.limits.idle, Hand::Idle),
            after(started, self.limits.attempt, Hand::Attempt),
        ];
        hands.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn ran_out(&self, hand: Hand) -> Error {
        let seconds = |limit: Option<Duration>| limit.unwrap_or_default().as_secs_f64();
        let Limits { first_content, idle, attempt } = self.limits;
        let message = match hand {
            Hand::FirstContent => format!("no content within {} s", seconds(first_content)),
            Hand::Idle => format!("silence for {} s", seconds(idle)),
            Hand::Attempt => format!("no complete answer within {} s", seconds(attempt)),
        };
        Error::new(ErrorKind::Timeout, message).with_origin(Origin::Provider)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    fn wait(clock: &mut Clock) -> Poll<Error> {
        clock.poll_ran_out(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn frames_do_not_set_the_timer() {
        let limits = Limits { idle: Some(secs(10)), ..Limits::default() };
        let mut clock = Clock::start(limits, true).unwrap();
        clock.read_frames();
        assert!(wait(&mut clock).is_pending());
        let first = clock.timer.as_ref().unwrap().deadline();
        for _ in 0..9 {
            tokio::time::advance(secs(1)).await;
            clock.saw(Facts::CONTENT).unwrap();
            assert!(wait(&mut clock).is_pending());
            assert_eq!(clock.timer.as_ref().unwrap().deadline(), first);
        }
        // It fires once, for nine frames, and is set to what is left.
        tokio::time::advance(secs(2)).await;
        assert!(wait(&mut clock).is_pending());
        assert_eq!(clock.timer.as_ref().unwrap().deadline(), first + secs(9));
        tokio::time::advance(secs(8)).await;
        assert!(wait(&mut clock).is_ready());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_time_sets_the_timer_back() {
        let limits =
            Limits { first_content: Some(secs(60)), idle: Some(secs(5)), ..Limits::default() };
        let mut clock = Clock::start(limits, true).unwrap();
        assert!(wait(&mut clock).is_pending());
        clock.read_frames();
        clock.saw(Facts::CONTENT).unwrap();
        assert!(wait(&mut clock).is_pending());
        tokio::time::advance(secs(6)).await;
        let Poll::Ready(error) = wait(&mut clock) else { panic!("five seconds have passed") };
        assert_eq!(error.message(), "silence for 5 s");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_past_the_end_of_time_is_none() {
        let limits = Limits { attempt: Some(Duration::MAX), ..Limits::default() };
        let mut clock = Clock::start(limits, false).unwrap();
        assert!(wait(&mut clock).is_pending());
        assert!(clock.timer.is_none());
    }

    #[test]
    fn no_limits_no_clock() {
        assert!(Clock::start(Limits::default(), true).is_none());
    }
}
