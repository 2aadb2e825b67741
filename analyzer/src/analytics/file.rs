//! Records into a file. logrotate moves it away and sends SIGHUP; the next line then stands in a new one.

use super::{BATCH, Record, Tally, lines};
use std::path::{Path, PathBuf};
use tokio::fs::{File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

/// Appends for as long as records come.
pub(super) async fn write(path: PathBuf, mut records: mpsc::Receiver<Record>, tally: Tally) {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut log = Log { path, file: None, torn: false, failing: false };
    log.open().await;
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            count = records.recv_many(&mut batch, BATCH) => {
                if count == 0 {
                    return;
                }
                let result = if log.append(lines(&batch)).await { "written" } else { "failed" };
                tally.add(result, count);
                batch.clear();
            }
            () = hung_up(&mut hangup) => log.open().await,
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    let came = match hangup {
        Some(signal) => signal.recv().await,
        None => None,
    };
    if came.is_none() {
        std::future::pending::<()>().await;
    }
}

struct Log {
    path: PathBuf,
    file: Option<File>,
    /// Whether the last write may have ended within a line.
    torn: bool,
    failing: bool,
}

impl Log {
    async fn open(&mut self) {
        match opened(&self.path).await {
            Ok(file) => self.file = Some(file),
            Err(error) => self.fails(&error),
        }
    }

    /// Whether all lines are in the file.
    async fn append(&mut self, mut text: Vec<u8>) -> bool {
        if self.torn {
            text.insert(0, b'\n');
        }
        match self.try_to(&text).await {
            Ok(()) => {
                (self.torn, self.failing) = (false, false);
                true
            }
            Err(error) => {
                self.fails(&error);
                false
            }
        }
    }

    async fn try_to(&mut self, text: &[u8]) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none @ None => none.insert(opened(&self.path).await?),
        };
        let written = file.write_all(text).await;
        let written = written.and(file.flush().await);
        if written.is_err() {
            // Opened again at the next write: the folder or the disk may be another then.
            (self.file, self.torn) = (None, true);
        }
        written
    }

    fn fails(&mut self, error: &std::io::Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(file = %self.path.display(), %error, "analytics are not written");
        }
    }
}

async fn opened(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path).await
}
