//! The customary `process_*` metrics, read from `/proc/self` when scraped. Elsewhere than on Linux they are left out.

use prometheus::{
    Counter, IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// Reads `/proc/self` at each scrape.
pub(super) struct ProcessCollector {
    cpu_seconds: Counter,
    resident_bytes: IntGauge,
    open_fds: IntGauge,
    ticks_per_second: f64,
    page_bytes: i64,
}

impl ProcessCollector {
    #[expect(clippy::cast_precision_loss, reason = "ticks per second are 100 or 1000")]
    pub(super) fn new() -> Self {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect("the name is well formed");
        Self {
            cpu_seconds: Counter::new("process_cpu_seconds_total", "User and system CPU time spent, in seconds.")
                .expect("the name is well formed"),
            resident_bytes: gauge("process_resident_memory_bytes", "Resident memory."),
            open_fds: gauge("process_open_fds", "Open file descriptors."),
            ticks_per_second: rustix::param::clock_ticks_per_second() as f64,
            page_bytes: i64::try_from(rustix::param::page_size()).unwrap_or(4096),
        }
    }

    /// Takes new readings; `None` where `/proc` does not have them.
    fn read(&self) -> Option<()> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        let usage = Usage::from_stat(&stat)?;
        #[expect(clippy::cast_precision_loss, reason = "exact for millions of years of CPU time")]
        let spent = usage.cpu_ticks as f64 / self.ticks_per_second;
        self.cpu_seconds.inc_by((spent - self.cpu_seconds.get()).max(0.0));
        self.resident_bytes.set(usage.resident_pages.saturating_mul(self.page_bytes));
        let fds = std::fs::read_dir("/proc/self/fd").ok()?.count();
        // The directory being read is open itself.
        self.open_fds.set(i64::try_from(fds).unwrap_or(i64::MAX).saturating_sub(1));
        Some(())
    }
}

impl Collector for ProcessCollector {
    fn desc(&self) -> Vec<&Desc> {
        [self.cpu_seconds.desc(), self.resident_bytes.desc(), self.open_fds.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if self.read().is_none() {
            return Vec::new();
        }
        [self.cpu_seconds.collect(), self.resident_bytes.collect(), self.open_fds.collect()].concat()
    }
}

/// What `/proc/self/stat` says (man page `proc_pid_stat(5)`).
#[derive(Debug, PartialEq)]
struct Usage {
    cpu_ticks: u64,
    resident_pages: i64,
}

impl Usage {
    /// Fields are counted behind the command name, which is in parentheses and may itself hold spaces and parentheses.
    fn from_stat(stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let number = |field: usize| fields.get(field - 3);
        let (user, system): (u64, u64) = (number(14)?.parse().ok()?, number(15)?.parse().ok()?);
        Some(Self { cpu_ticks: user + system, resident_pages: number(24)?.parse().ok()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_is_read_behind_the_command_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 12 30 0 0 20 0 4 0 55 1000000 321 184 0";
        assert_eq!(Usage::from_stat(stat), Some(Usage { cpu_ticks: 42, resident_pages: 321 }));
        assert_eq!(Usage::from_stat("nonsense"), None);
        assert_eq!(Usage::from_stat("7 (a) S 1 2"), None);
    }
}
