//! Waiting for something to become true, with a generous end and a useful complaint.

use anyhow::{Result, bail};
use std::future::Future;
use std::time::{Duration, Instant};

const BETWEEN: Duration = Duration::from_millis(50);

/// Asks again and again until there is an answer.
///
/// # Errors
/// After `patience`, naming `what` and the last reason why not.
pub async fn until<T, F>(what: &str, patience: Duration, mut ask: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let end = Instant::now() + patience;
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(why) if Instant::now() >= end => {
                bail!("waited {} s for {what}: {why:#}", patience.as_secs())
            }
            Err(_) => tokio::time::sleep(BETWEEN).await,
        }
    }
}
