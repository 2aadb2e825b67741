//! A child process that cannot outlive its owner: it has a process group of its own, is ended when the
//! guard is dropped (a panic does that too), and is killed by a watchdog if the owner itself is killed.

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{File, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a process may take to end by itself before it is killed.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running child.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    watchdog: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command; what it says goes to the end of `log`.
    ///
    /// # Errors
    /// When the command or the log's file cannot be had.
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let out = append_to(log)?;
        let err = out.try_clone().context("the log's second handle")?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .with_context(|| format!("{name} does not start: {}", command.get_program().display()))?;
        let watchdog = match watch(child.id()) {
            Ok(watchdog) => watchdog,
            Err(error) => {
                // Without a guard nobody else would end it; it has only just begun.
                child.kill().ok();
                child.wait().ok();
                return Err(error);
            }
        };
        Ok(Self { name: name.to_owned(), child, watchdog, log: log.to_path_buf() })
    }

    /// What it was called when it was started.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's number, also that of its group.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its resident memory in bytes.
    ///
    /// # Errors
    /// When it is not there.
    pub fn memory(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kilobytes * 1024)
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Fails with the end of its log if it has ended.
    ///
    /// # Errors
    /// When it has ended.
    pub fn check_running(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                bail!("{} has ended ({status}); its log ends with:\n{}", self.name, self.log_tail())
            }
        }
    }

    /// SIGKILL: no goodbye, as when a machine is lost.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill9(&mut self) -> Result<()> {
        self.signal(Signal::SIGKILL)?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGSTOP: it freezes, with its sockets open.
    ///
    /// # Errors
    /// When it has ended.
    pub fn stop(&mut self) -> Result<()> {
        self.signal(Signal::SIGSTOP)
    }

    /// SIGCONT: it goes on.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cont(&mut self) -> Result<()> {
        self.signal(Signal::SIGCONT)
    }

    /// SIGHUP: by convention, read the configuration again.
    ///
    /// # Errors
    /// When it has ended.
    pub fn hang_up(&mut self) -> Result<()> {
        self.signal(Signal::SIGHUP)
    }

    /// SIGTERM, and SIGKILL if it is still there after ten seconds.
    ///
    /// # Errors
    /// When it had to be killed, with the end of its log.
    pub fn terminate(&mut self) -> Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        // A frozen process would never see the signal.
        self.signal(Signal::SIGTERM)?;
        self.signal(Signal::SIGCONT)?;
        if let Some(status) = self.wait_for_end(PATIENCE)? {
            return Ok(status);
        }
        self.kill9()?;
        bail!("{} did not end within {} s of SIGTERM:\n{}", self.name, PATIENCE.as_secs(), self.log_tail())
    }

    fn wait_for_end(&mut self, patience: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(None)
    }

    /// The last lines of what it said.
    pub fn log_tail(&self) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    fn signal(&mut self, signal: Signal) -> Result<()> {
        // Asked first, so that the number surely is still this child's and nobody else's.
        self.check_running()?;
        let id = i32::try_from(self.child.id()).context("a process number beyond 31 bits")?;
        kill(Pid::from_raw(id), signal).with_context(|| format!("{signal} to {}", self.name))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The watchdog first: once the child is reaped, its number may become somebody else's.
        self.watchdog.kill().ok();
        self.watchdog.wait().ok();
        if let Err(error) = self.terminate() {
            eprintln!("{error:#}");
        }
    }
}

fn append_to(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("the log {}", log.display()))
}

/// A shell that waits for the end of its input and then kills the group. Its input is a pipe whose other
/// end only this process holds, so it ends with this process, however that comes about.
fn watch(group: u32) -> Result<Child> {
    Command::new("sh")
        .args(["-c", r#"read -r _; kill -s KILL -- "-$1""#, "watchdog", &group.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("the watchdog needs `sh`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sleeper(log: &Path) -> Process {
        let mut command = Command::new("sh");
        command.args(["-c", "echo begun; exec sleep 60"]);
        Process::start("sleeper", command, log).expect("sh is everywhere")
    }

    #[test]
    fn a_dropped_process_ends() {
        let folder = tempfile::tempdir().unwrap();
        let process = sleeper(&folder.path().join("log"));
        let id = Pid::from_raw(i32::try_from(process.id()).unwrap());
        drop(process);
        assert!(kill(id, None).is_err(), "{id} is still there");
    }

    #[test]
    fn a_frozen_process_ends_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(&folder.path().join("log"));
        process.stop().unwrap();
        process.terminate().unwrap();
        assert!(!process.is_running());
    }

    #[test]
    fn the_watchdog_kills_when_its_owner_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mut process = sleeper(&folder.path().join("log"));
        // The end of the owner closes the pipe; here only the pipe is closed.
        drop(process.watchdog.stdin.take());
        let status = process.wait_for_end(PATIENCE).unwrap().expect("the child is still there");
        assert!(!status.success());
    }

    #[test]
    fn an_early_end_is_told_with_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo the port is taken; exit 3"]);
        let mut process = Process::start("server", command, &folder.path().join("log")).unwrap();
        process.child.wait().unwrap();
        let complaint = process.check_running().unwrap_err().to_string();
        assert!(complaint.contains("the port is taken"), "{complaint}");
    }
}
