//! Tower layers: spans and durations of calls, at the edges of a process.
