//! `control`.
