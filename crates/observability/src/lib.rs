//! `observability`.
