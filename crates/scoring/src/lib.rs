//! `scoring`.
