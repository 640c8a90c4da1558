//! Elementary functions whose last bit shows in a score, the same on every machine.
//!
//! A score must not depend on the mathematical library of the machine it is computed on, and must
//! equal libvmaf's, which uses that of the C library. So these perform the operations of glibc's
//! functions (2.28 and later, on processors with fused multiplication and addition) in their order.
//! They are called once a picture, a plane or a support vector: what runs once a sample has its own.

mod exp;
mod log10;
mod log_table;
mod pow;
mod powf;
pub(crate) mod powf_table;

pub use exp::exp;
pub use log10::log10;
pub use pow::pow;
pub use powf::powf;
