//! How hard the program works, and how much less often filters should report therefore. What they do not report
//! now they report later: nothing is lost, verdicts come somewhat later.

use serin_judge::time::Time;
use std::time::Duration;

/// How often one looks.
const LOOK: Duration = Duration::from_secs(2);
/// Above this part of its processors the program is pressed.
const PRESSED: f64 = 0.8;
/// Below this part it is at ease: with twice the reports it still would not be pressed.
const AT_EASE: f64 = 0.3;
/// How long it must be at ease before filters report more often again.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most that intervals are stretched.
const MOST: u64 = 16;

/// What the program has used of its machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    /// Processor time since its start.
    pub(super) processor: Duration,
    /// How many processors it may use.
    pub(super) processors: usize,
}

/// The pressure, as it was seen last.
pub(super) struct Pressure {
    stretch: u64,
    looked: Option<(Time, Duration)>,
    next: Time,
    eased_since: Option<Time>,
    /// Whether more reports waited than go into one commit.
    backed_up: bool,
}

impl Pressure {
    pub(super) fn new(now: Time) -> Self {
        Self { stretch: 1, looked: None, next: now, eased_since: None, backed_up: false }
    }

    /// How many times longer than usual filters should wait between reports.
    pub(super) fn stretch(&self) -> u64 {
        self.stretch
    }

    /// More reports wait than go into one commit: the store is slower than they come.
    pub(super) fn back_up(&mut self) {
        self.backed_up = true;
    }

    /// Looks, when it is time to. `used` is none where the system does not tell.
    pub(super) fn look(&mut self, now: Time, used: impl FnOnce() -> Option<Usage>) {
        if now < self.next {
            return;
        }
        self.next = now.plus(LOOK);
        let used = used();
        let busy = used.zip(self.looked).map(|(used, (time, processor))| {
            let whole = now.since(time).as_secs_f64() * used.processors as f64;
            used.processor.saturating_sub(processor).as_secs_f64() / whole.max(f64::MIN_POSITIVE)
        });
        self.looked = used.map(|used| (now, used.processor));
        let pressed = std::mem::take(&mut self.backed_up) || busy.is_some_and(|busy| busy > PRESSED);
        if pressed {
            self.eased_since = None;
            if self.stretch < MOST {
                self.stretch *= 2;
                tracing::warn!(stretch = self.stretch, busy, "under pressure; filters report less often");
                // Until the filters have followed, the old pressure says nothing.
                self.next = now.plus(LOOK * 2);
            }
            return;
        }
        if busy.is_some_and(|busy| busy >= AT_EASE) || self.stretch == 1 {
            self.eased_since = None;
            return;
        }
        let since = *self.eased_since.get_or_insert(now);
        if now.since(since) >= PATIENCE {
            self.stretch /= 2;
            self.eased_since = None;
            tracing::info!(stretch = self.stretch, busy, "the pressure is gone; filters report more often");
        }
    }
}

/// What this very process has used; none where there is no /proc.
pub(super) fn usage() -> Option<Usage> {
    /// Linux shows times in hundredths of a second, whatever its own clock does.
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in parentheses, may hold anything; after it `utime` and `stime` are the 12th and the 13th.
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks = ticks.collect::<Result<Vec<_>, _>>().ok()?;
    let processors = std::thread::available_parallelism().ok()?.get();
    Some(Usage { processor: TICK * ticks.iter().sum(), processors })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every two seconds for so long while this part of two processors is used; answers the stretch.
    fn after(pressure: &mut Pressure, clock: &mut (u64, f64), seconds: u64, busy: f64) -> u64 {
        for _ in 0..seconds / 2 {
            clock.0 += 2_000;
            clock.1 += 4.0 * busy;
            let used = Usage { processor: Duration::from_secs_f64(clock.1), processors: 2 };
            pressure.look(Time(clock.0), || Some(used));
        }
        pressure.stretch()
    }

    #[test]
    fn the_interval_grows_while_the_program_is_pressed_and_no_further_than_it_may() {
        let (mut pressure, mut clock) = (Pressure::new(Time(0)), (0, 0.0));
        assert_eq!(after(&mut pressure, &mut clock, 10, 0.7), 1);
        assert_eq!(after(&mut pressure, &mut clock, 2, 0.9), 2);
        assert_eq!(after(&mut pressure, &mut clock, 2, 0.9), 2, "the filters have not followed yet");
        assert_eq!(after(&mut pressure, &mut clock, 2, 0.9), 4);
        assert_eq!(after(&mut pressure, &mut clock, 60, 0.9), MOST);
    }

    #[test]
    fn it_shrinks_only_after_a_while_at_ease() {
        let (mut pressure, mut clock) = (Pressure::new(Time(0)), (0, 0.0));
        assert_eq!(after(&mut pressure, &mut clock, 10, 0.9), 4);
        assert_eq!(after(&mut pressure, &mut clock, 60, 0.5), 4, "neither pressed nor at ease");
        assert_eq!(after(&mut pressure, &mut clock, 10, 0.1), 4);
        assert_eq!(after(&mut pressure, &mut clock, 2, 0.1), 2);
        assert_eq!(after(&mut pressure, &mut clock, 60, 0.1), 1);
    }

    #[test]
    fn a_store_that_is_too_slow_is_pressure_too_and_needs_no_processor() {
        let mut pressure = Pressure::new(Time(0));
        pressure.back_up();
        pressure.look(Time(0), || None);
        assert_eq!(pressure.stretch(), 2);
        (1..20).for_each(|turn| pressure.look(Time(turn * 2_000), || None));
        assert_eq!(pressure.stretch(), 1);
    }

    #[test]
    fn this_process_has_used_something() {
        if std::path::Path::new("/proc/self/stat").exists() {
            assert!(usage().is_some_and(|usage| usage.processors > 0));
        }
    }
}
