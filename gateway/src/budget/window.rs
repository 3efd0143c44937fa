//! Requests of the last minute, counted by the second.

use std::collections::VecDeque;
use std::time::Duration;

use doorward_base::Timestamp;

const MINUTE: i64 = 60_000;

/// When requests came: for each second the time of its last one in milliseconds since the Unix epoch, and how many there were. They
/// leave the window together, a minute after the last, so that no minute, wherever it begins, sees more than the limit, and
/// nobody waits for longer than a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Window(VecDeque<(i64, u64)>);

impl Window {
    /// Whether one more request is within `limit`; else how long it takes until one is.
    pub(super) fn check(&mut self, now: Timestamp, limit: u64) -> Result<(), Duration> {
        self.forget(now);
        let used: u64 = self.0.iter().map(|(_, count)| count).sum();
        let Some(mut surplus) = (used + 1).checked_sub(limit).filter(|surplus| *surplus > 0) else { return Ok(()) };
        for (last, count) in &self.0 {
            surplus = surplus.saturating_sub(*count);
            if surplus == 0 {
                return Err(Timestamp::from_millis(last + MINUTE).since(now));
            }
        }
        Err(Duration::from_millis(MINUTE.unsigned_abs()))
    }

    /// Counts one request.
    pub(super) fn record(&mut self, now: Timestamp) {
        let now = now.as_millis();
        match self.0.back_mut() {
            // A clock that goes back must not open the window.
            Some((last, count)) if second_of(*last) >= second_of(now) => (*last, *count) = (now.max(*last), *count + 1),
            _ => self.0.push_back((now, 1)),
        }
    }

    /// As it is stored: `[[last, count], …]`.
    pub(super) fn stored(&self) -> String {
        let pairs = self.0.iter().map(|(last, count)| format!("[{last},{count}]")).collect::<Vec<_>>();
        format!("[{}]", pairs.join(","))
    }

    pub(super) fn from_stored(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text).map(Self)
    }

    fn forget(&mut self, now: Timestamp) {
        let over = now.as_millis() - MINUTE;
        while self.0.front().is_some_and(|(last, _)| *last <= over) {
            self.0.pop_front();
        }
    }
}

fn second_of(millis: i64) -> i64 {
    millis.div_euclid(1000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn take(window: &mut Window, now: Timestamp, limit: u64) -> Result<(), Duration> {
        window.check(now, limit)?;
        window.record(now);
        Ok(())
    }

    #[test]
    fn one_request_more_than_the_limit_waits_until_the_first_is_a_minute_old() {
        let mut window = Window::default();
        for _ in 0..3 {
            take(&mut window, at(500), 3).unwrap();
        }
        let wait = take(&mut window, at(10_500), 3).unwrap_err();
        assert_eq!(wait, Duration::from_secs(50));
        assert!(take(&mut window, at(60_499), 3).is_err());
        take(&mut window, at(60_500), 3).unwrap();
    }

    #[test]
    fn a_limit_of_nothing_lets_nothing_through() {
        assert_eq!(take(&mut Window::default(), at(0), 0), Err(Duration::from_secs(60)));
    }

    #[test]
    fn a_limit_that_was_lowered_waits_for_more_than_the_oldest() {
        let mut window = Window::default();
        for second in 0..10 {
            take(&mut window, at(second * 1000), 10).unwrap();
        }
        assert_eq!(take(&mut window, at(10_000), 2), Err(Duration::from_secs(58)));
    }

    #[test]
    fn the_requests_of_a_second_leave_together_with_the_last_of_them() {
        let mut window = Window::default();
        take(&mut window, at(100), 2).unwrap();
        take(&mut window, at(900), 2).unwrap();
        assert_eq!(take(&mut window, at(60_100), 2), Err(Duration::from_millis(800)));
        take(&mut window, at(60_900), 2).unwrap();
    }

    #[test]
    fn it_is_read_back_as_it_was_stored() {
        let mut window = Window::default();
        for millis in [0, 10, 5_000] {
            take(&mut window, at(millis), 9).unwrap();
        }
        assert_eq!(window.stored(), "[[10,2],[5000,1]]");
        assert_eq!(Window::from_stored(&window.stored()).unwrap(), window);
        assert_eq!(Window::from_stored("[]").unwrap(), Window::default());
    }

    proptest! {
        #[test]
        fn no_minute_sees_more_than_the_limit_and_nobody_waits_longer_than_one(gaps in proptest::collection::vec(0_i64..8_000, 1..200), limit in 1_u64..20) {
            let mut window = Window::default();
            let mut now = 1_700_000_000_123;
            let mut let_through = Vec::new();
            for gap in gaps {
                now += gap;
                match take(&mut window, at(now), limit) {
                    Ok(()) => let_through.push(now),
                    Err(wait) => {
                        prop_assert!(wait <= Duration::from_secs(60));
                        // Who comes back in time is let through.
                        now += i64::try_from(wait.as_millis()).unwrap();
                        prop_assert!(take(&mut window, at(now), limit).is_ok());
                        let_through.push(now);
                    }
                }
            }
            for (index, first) in let_through.iter().enumerate() {
                let within = let_through[index..].iter().filter(|time| **time - first < 60_000).count();
                prop_assert!(within as u64 <= limit);
            }
        }
    }
}
