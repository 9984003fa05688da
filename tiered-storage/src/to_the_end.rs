//! Work that is not left half done because whoever asked for it went away: a client that hangs up drops its handler in the middle.

/// Does the work to its end, even where nobody waits for the answer any more. Only the end of the process ends it earlier.
pub async fn to_the_end<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    match tokio::spawn(work).await {
        Ok(done) => done,
        // It is never aborted, so it has panicked.
        Err(failure) => std::panic::resume_unwind(failure.into_panic()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::to_the_end;

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_done_all_the_same() {
        let ((go, gone), (tell, done)) = (oneshot::channel::<()>(), oneshot::channel());
        let asked = to_the_end(async move {
            gone.await.unwrap();
            tell.send("done").unwrap();
        });
        let mut asked = Box::pin(asked);
        assert!(futures::poll!(&mut asked).is_pending());
        drop(asked);
        go.send(()).unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(20), done).await;
        assert_eq!(answer.expect("within 20 s").unwrap(), "done");
    }
}
