//! The certificate that the listener shows now. Whoever renews it only replaces the files: they are
//! looked at every few seconds, and a pair that is wrong leaves the old one in place.

use super::pair::{Pair, PairFiles};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The listener's certificate.
#[derive(Clone)]
pub struct Certificate {
    held: Arc<RwLock<Held>>,
}

struct Held {
    files: PairFiles,
    pair: Pair,
    /// What was last said about a pair that was refused, so that it is said once.
    complaint: Option<String>,
}

impl Certificate {
    /// One that was loaded from these files.
    pub fn new(files: PairFiles, pair: Pair) -> Self {
        Self { held: Arc::new(RwLock::new(Held { files, pair, complaint: None })) }
    }

    /// For the next connection; those that stand keep what they have.
    pub fn acceptor(&self) -> TlsAcceptor {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(held.pair.config())
    }

    /// From now on the pair is in these files.
    pub fn moved_to(&self, files: PairFiles) {
        self.held.write().unwrap_or_else(PoisonError::into_inner).files = files;
        self.look();
    }

    /// Reads the files and takes their pair over if it has changed and is good.
    pub fn look(&self) {
        // Read before the lock is taken: a slow disk must not hold up new connections.
        let files = self.held.read().unwrap_or_else(PoisonError::into_inner).files.clone();
        let read = Pair::load(&files);
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            Ok(pair) if held.pair.same_as(&pair) => held.complaint = None,
            Ok(pair) => {
                held.pair = pair;
                held.complaint = None;
                tracing::info!(certificate = %files.cert_file.display(), "new certificate");
            }
            Err(error) => {
                let problem = format!("spec.tls.{}: {error}", error.field());
                if held.complaint.as_ref() != Some(&problem) {
                    tracing::error!(%problem, "new certificate refused; the old one stays");
                    held.complaint = Some(problem);
                }
            }
        }
    }

    /// Looks every few seconds, for ever.
    pub async fn watch(self) {
        loop {
            tokio::time::sleep(LOOK).await;
            let certificate = self.clone();
            // A task that was cancelled or panicked has said so itself; the next look comes soon.
            drop(tokio::task::spawn_blocking(move || certificate.look()).await);
        }
    }
}
