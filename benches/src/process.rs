//! Child processes on chosen cores, and what they use up.

use std::{
    fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};

/// A child that does not outlive its handle.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

impl Process {
    /// Starts `command` on `core`, or wherever it likes. What it prints goes to `log`.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or the core not be used.
    pub fn spawn(mut command: Command, core: Option<usize>, log: &fs::File) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log.try_clone()?);
        // A child inherits the cores of the thread that starts it, before its runtime counts them.
        let child = on_core(core, || command.spawn())?
            .with_context(|| format!("starting {}", command.get_program().display()))?;
        Ok(Self { child })
    }

    /// CPU time used so far by all of its threads, also those that ended.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn cpu_time(&self) -> Result<Duration> {
        os::cpu_time(self.child.id())
    }

    /// Resident memory, in bytes.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn resident(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(&path).with_context(|| path.clone())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context(path)?;
        let kibibytes = line.trim().trim_end_matches(" kB").parse::<u64>().context("VmRSS")?;
        Ok(kibibytes * 1024)
    }

    /// Files and sockets it has open.
    ///
    /// # Errors
    ///
    /// When the process is gone.
    pub fn open_files(&self) -> Result<usize> {
        let path = format!("/proc/{}/fd", self.child.id());
        Ok(fs::read_dir(&path).context(path)?.count())
    }

    /// Asks it to end in good order.
    ///
    /// # Errors
    ///
    /// When it is gone, or such a thing cannot be asked.
    pub fn terminate(&self) -> Result<()> {
        os::terminate(self.child.id())
    }

    /// Whether it ended already, and how.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        Ok(self.child.try_wait()?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; there is nobody left to tell.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time that this very process used so far.
///
/// # Errors
///
/// On systems where it cannot be read.
pub fn own_cpu_time() -> Result<Duration> {
    os::cpu_time(std::process::id())
}

/// Puts the calling thread, and the threads it starts, on `core`.
///
/// # Errors
///
/// When there is no such core for us.
pub fn pin(core: usize) -> Result<()> {
    os::pin(core).with_context(|| format!("core {core}"))
}

fn on_core<T>(core: Option<usize>, work: impl FnOnce() -> T) -> Result<T> {
    let Some(core) = core else { return Ok(work()) };
    let before = os::Cores::current()?;
    pin(core)?;
    let done = work();
    before.restore()?;
    Ok(done)
}

/// Lets this process and its children open as many files as the system allows; returns how many.
///
/// # Errors
///
/// When the limit cannot be read or set.
pub fn raise_file_limit() -> Result<u64> {
    os::raise_file_limit()
}

/// An address on the loopback that was free a moment ago.
///
/// # Errors
///
/// When there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Time that the machine's cores spent working, for everybody, and time that was stolen from them.
///
/// # Errors
///
/// When `/proc/stat` cannot be read.
pub fn machine_busy() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let line = stat.lines().next().unwrap_or_default();
    let ticks: Vec<u64> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // user nice system idle iowait irq softirq steal, in hundredths of a second
    let idle: u64 = ticks.iter().skip(3).take(2).sum();
    let all: u64 = ticks.iter().take(8).sum();
    Ok(Duration::from_millis((all - idle) * 10))
}

#[cfg(target_os = "linux")]
mod os {
    use std::time::Duration;

    use anyhow::{Context, Result};
    use nix::{
        sched::{CpuSet, sched_getaffinity, sched_setaffinity},
        sys::resource::{Resource, getrlimit, setrlimit},
        sys::signal::{Signal, kill},
        time::{clock_getcpuclockid, clock_gettime},
        unistd::Pid,
    };

    /// The calling thread, to the scheduler.
    const SELF: Pid = Pid::from_raw(0);

    pub(super) fn pin(core: usize) -> Result<()> {
        let mut cores = CpuSet::new();
        cores.set(core)?;
        Ok(sched_setaffinity(SELF, &cores)?)
    }

    pub(super) struct Cores(CpuSet);

    impl Cores {
        pub(super) fn current() -> Result<Self> {
            Ok(Self(sched_getaffinity(SELF)?))
        }

        pub(super) fn restore(&self) -> Result<()> {
            Ok(sched_setaffinity(SELF, &self.0)?)
        }
    }

    pub(super) fn cpu_time(pid: u32) -> Result<Duration> {
        let pid = Pid::from_raw(i32::try_from(pid)?);
        // The process's own clock: nanoseconds, where `/proc/PID/stat` has hundredths of a second.
        let clock = clock_getcpuclockid(pid).context("the process is gone")?;
        Ok(clock_gettime(clock)?.into())
    }

    pub(super) fn terminate(pid: u32) -> Result<()> {
        Ok(kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGTERM)?)
    }

    pub(super) fn raise_file_limit() -> Result<u64> {
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
        Ok(most)
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use std::time::Duration;

    use anyhow::{Result, bail};

    const ONLY_LINUX: &str = "cores and CPU clocks are read on Linux only";

    pub(super) fn pin(_core: usize) -> Result<()> {
        bail!(ONLY_LINUX)
    }

    pub(super) struct Cores;

    impl Cores {
        pub(super) fn current() -> Result<Self> {
            bail!(ONLY_LINUX)
        }

        pub(super) fn restore(&self) -> Result<()> {
            bail!(ONLY_LINUX)
        }
    }

    pub(super) fn cpu_time(_pid: u32) -> Result<Duration> {
        bail!(ONLY_LINUX)
    }

    pub(super) fn raise_file_limit() -> Result<u64> {
        bail!(ONLY_LINUX)
    }

    pub(super) fn terminate(_pid: u32) -> Result<()> {
        bail!(ONLY_LINUX)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_child_runs_on_its_core_and_is_measured() {
        let log = tempfile::tempfile().unwrap();
        let before = os::Cores::current().unwrap();
        // The least core we may use: a container need not own core 0.
        let core = (0..1024).find(|core| pin(*core).is_ok()).unwrap();
        before.restore().unwrap();

        let mut command = Command::new("sh");
        command.args(["-c", "while :; do :; done"]);
        let mut process = Process::spawn(command, Some(core), &log).unwrap();
        let status = fs::read_to_string(format!("/proc/{}/status", process.child.id())).unwrap();
        let cores = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        assert_eq!(cores.unwrap().trim(), core.to_string());

        while process.cpu_time().unwrap() < Duration::from_millis(5) {
            assert_eq!(process.ended().unwrap(), None);
        }
        assert!(process.resident().unwrap() > 100 << 10);
        assert!(machine_busy().unwrap() >= Duration::from_millis(10));
    }
}
