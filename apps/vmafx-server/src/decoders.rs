//! Which decoders are at hand.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long `ffmpeg` may take to say that it is there.
const FFMPEG_PROBE_TIMEOUT: Duration = Duration::from_secs(10);

/// The decoders at hand, sorted: our own, and `ffmpeg` where the program, or the one in `PATH`,
/// starts and says that all is well.
pub async fn codecs(ffmpeg: Option<&Path>) -> Vec<String> {
    let mut codecs = vec!["raw".to_owned(), "y4m".to_owned()];
    if is_there(ffmpeg.unwrap_or(Path::new("ffmpeg"))).await {
        codecs.push("ffmpeg".to_owned());
    }
    codecs.sort_unstable();
    codecs
}

async fn is_there(program: &Path) -> bool {
    let mut command = Command::new(program);
    command.arg("-version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.kill_on_drop(true);
    let status = tokio::time::timeout(FFMPEG_PROBE_TIMEOUT, command.status()).await;
    matches!(status, Ok(Ok(status)) if status.success())
}
