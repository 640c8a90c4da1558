//! SQLite's errors as ours.

use control::{StoreError, StoreErrorKind};
use rusqlite::{Error, ErrorCode};

fn kind(error: &Error) -> StoreErrorKind {
    let Error::SqliteFailure(failure, _) = error else { return StoreErrorKind::Internal };
    match failure.code {
        ErrorCode::DiskFull => StoreErrorKind::DiskFull,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreErrorKind::Corrupt,
        ErrorCode::OperationInterrupted => StoreErrorKind::TimedOut,
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreErrorKind::Locked,
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::PermissionDenied
        | ErrorCode::ReadOnly => StoreErrorKind::Io,
        _ => StoreErrorKind::Internal,
    }
}

/// For `map_err`: names the operation that failed.
pub(super) fn failed(operation: &'static str) -> impl Fn(Error) -> StoreError {
    move |error| {
        let kind = kind(&error);
        let advice = match kind {
            StoreErrorKind::DiskFull => "; free space on the disk that holds the queue",
            StoreErrorKind::Corrupt => "; restore the file from a copy",
            StoreErrorKind::TimedOut => "; ask for less",
            StoreErrorKind::Locked => "; another program holds the file",
            StoreErrorKind::Version | StoreErrorKind::Io | StoreErrorKind::Internal => "",
        };
        StoreError::new(kind, operation, format!("{error}{advice}"))
    }
}

/// For `map_err` of files beside the database.
pub(super) fn io(operation: &'static str) -> impl Fn(std::io::Error) -> StoreError {
    move |error| {
        let kind = match error.kind() {
            std::io::ErrorKind::StorageFull => StoreErrorKind::DiskFull,
            _ => StoreErrorKind::Io,
        };
        StoreError::new(kind, operation, error.to_string())
    }
}
