//! The life of one analyzer among several, and its end in order: it resigns, its leading ends, then the election,
//! and last the answers.

use super::Failure;
use super::serve::Stop;
use crate::api;
use crate::tls::Certificate;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What runs beside the answers, and how it is told to end.
pub(super) struct Life {
    /// Waits for the lead, and leads.
    pub(super) led: JoinHandle<Result<(), Failure>>,
    /// Asks for the lead, and keeps it.
    pub(super) electing: JoinHandle<()>,
    /// Ends `led`.
    pub(super) resigning: watch::Sender<bool>,
    /// Ends `electing`.
    pub(super) stopping: watch::Sender<bool>,
}

impl Life {
    /// Answers until a signal comes, or until leading has failed.
    pub(super) async fn serve(
        mut self,
        listener: TcpListener,
        certificate: Option<Certificate>,
        app: Router,
        mut signals: Stop,
    ) -> Result<(), Failure> {
        let (ending, mut ended) = watch::channel(false);
        let serving = api::serve(listener, certificate, app, async move {
            // A sender that is gone ends it too.
            let _ = ended.wait_for(|ended| *ended).await;
        });
        let mut serving = std::pin::pin!(serving);
        let failure = tokio::select! {
            () = &mut serving => None,
            () = signals.wait() => None,
            ended = &mut self.led => Some(ended.unwrap_or_else(|error| Err(Failure::Failed(error.to_string())))),
        };
        let _ = self.resigning.send(true);
        if failure.is_none()
            && let Err(error) = self.led.await
        {
            tracing::error!(%error, "the leader did not end in order");
        }
        let _ = self.stopping.send(true);
        let _ = self.electing.await;
        let _ = ending.send(true);
        serving.await;
        failure.unwrap_or(Ok(()))
    }
}
