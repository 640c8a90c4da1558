//! Integer ADM, the additive detail measure.
