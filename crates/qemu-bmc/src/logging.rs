//! Log lines: when, how serious, what, and its details as `key=value`.
//!
//! They go to standard error, because standard output is the guest's console where CONSOLE_LOG says so. A
//! line has its time in UTC to the second: docker and journald add one only for who asks them to. The machine's name
//! follows where there are several, which write to the same place.

use std::{
    fmt,
    io::{self, IsTerminal as _, Write as _},
    time::{SystemTime, UNIX_EPOCH},
};

use tracing::{Subscriber, level_filters::LevelFilter, warn};
use tracing_subscriber::{
    EnvFilter,
    fmt::{MakeWriter, format::Writer, time::FormatTime},
};

use crate::config::MachineName;

/// Sets up logging for the whole process, which is one of several machines' or not; a second call changes nothing.
///
/// RUST_LOG, where it is set, decides what is logged, in the syntax of [`EnvFilter`].
pub(crate) fn start(debug: bool, machine: Option<&MachineName>) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_default();
    let filter = EnvFilter::builder().with_default_directive(level.into()).parse(&wanted);
    let usual = || EnvFilter::default().add_directive(level.into());

    let colour =
        io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let refused = filter.as_ref().err().map(ToString::to_string);
    let subscriber = subscriber(filter.unwrap_or_else(|_| usual()), io::stderr, colour, machine.cloned());
    let first = tracing::subscriber::set_global_default(subscriber).is_ok();
    if let Some(error) = refused.filter(|_| first) {
        warn!("cannot use RUST_LOG: {error}");
    }
}

/// Says why the program ends. This is no log line: people read it who typed a command.
pub(crate) fn complain(why: &str) {
    // There is nobody left to tell that standard error is closed.
    let _ = writeln!(io::stderr(), "qemu-bmc: {why}");
}

fn subscriber<W>(
    filter: EnvFilter,
    writer: W,
    colour: bool,
    machine: Option<MachineName>,
) -> impl Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour)
        .with_target(false)
        .with_timer(Beginning { machine })
        // Errors of the log itself would be printed with a macro that panics on a closed standard error.
        .log_internal_errors(false)
        .finish()
}

/// What every line begins with.
struct Beginning {
    machine: Option<MachineName>,
}

impl FormatTime for Beginning {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        writer.write_str(&utc(now.as_secs()))?;
        self.machine.iter().try_for_each(|machine| write!(writer, " {machine}"))
    }
}

/// A number of seconds since 1970 as RFC 3339 has it, in UTC.
pub(crate) fn utc(seconds: u64) -> String {
    let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Year, month and day of a number of days since 1970-01-01.
///
/// Years are counted from March, so that the leap day is a year's last, in eras of 400 years, which have the
/// same number of days all.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468; // since 0000-03-01
    const DAYS_PER_ERA: u64 = 146_097;

    let days = days + DAYS_BEFORE_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let leap_corrected = day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096;
    let year_of_era = leap_corrected / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to July and August to December are both 31, 30, 31, 30, 31: 153 days in five months.
    let months_since_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * months_since_march + 2) / 5 + 1;
    let month = (months_since_march + 2) % 12 + 1;
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_has_time_level_message_and_details() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber(EnvFilter::new("info"), move || writer.clone(), false, None);
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!(port = 623, "cannot listen");
            tracing::debug!("not shown");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let (time, rest) = text.split_once(' ').unwrap();
        assert_eq!(rest, " WARN cannot listen port=623\n");
        assert_eq!((time.len(), &time[..2], &time[19..]), (20, "20", "Z"));
    }

    #[test]
    fn times_are_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_795_219_200, "2026-11-21T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut last = civil(0);
        for day in 1..200_000 {
            let (year, month, date) = civil(day);
            let follows = (year, month) == (last.0, last.1) && date == last.2 + 1
                || date == 1
                    && (28..=31).contains(&last.2)
                    && (year * 12 + month == last.0 * 12 + last.1 + 1);
            assert!(follows, "{last:?} {:?}", (year, month, date));
            last = (year, month, date);
        }
    }
}
