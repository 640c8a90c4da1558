//! The twin of [`add_products`](super::add_products) for AVX-512: eight rows of sums stay in
//! registers for all windows. Multiplication and addition are rounded each, as in the portable body.

use std::arch::x86_64::{
    __m512d, _mm512_add_pd, _mm512_loadu_pd, _mm512_mul_pd, _mm512_set1_pd, _mm512_setzero_pd,
    _mm512_storeu_pd,
};

use super::{BLOCK_LEN, Deviations, Sums};

/// Elements of a vector.
const WIDTH: usize = 8;

#[target_feature(enable = "avx512f")]
pub(super) fn add_products(deviations: &[Deviations], sums: &mut Sums) {
    add_rows::<8, 1>(deviations, sums, 0);
    add_rows::<8, 2>(deviations, sums, 8);
    add_rows::<8, 3>(deviations, sums, 16);
    add_rows::<1, 4>(deviations, sums, BLOCK_LEN - 1);
}

/// Adds to the first `VECTORS` vectors of the rows from `first` on.
#[inline]
#[target_feature(enable = "avx512f")]
fn add_rows<const ROWS: usize, const VECTORS: usize>(
    deviations: &[Deviations],
    sums: &mut Sums,
    first: usize,
) {
    const { assert!(VECTORS * WIDTH <= super::LANES) };
    let mut tile = [[_mm512_setzero_pd(); VECTORS]; ROWS];
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            tile[row][vector] = load(&sums.0[first + row], vector);
        }
    }
    for Deviations(deviations) in deviations {
        let mut columns = [_mm512_setzero_pd(); VECTORS];
        for vector in 0..VECTORS {
            columns[vector] = load(deviations, vector);
        }
        for row in 0..ROWS {
            let deviation = _mm512_set1_pd(deviations[first + row]);
            for vector in 0..VECTORS {
                let product = _mm512_mul_pd(deviation, columns[vector]);
                tile[row][vector] = _mm512_add_pd(tile[row][vector], product);
            }
        }
    }
    for row in 0..ROWS {
        for vector in 0..VECTORS {
            store(&mut sums.0[first + row], vector, tile[row][vector]);
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load(lanes: &[f64; super::LANES], vector: usize) -> __m512d {
    let lanes = &lanes[vector * WIDTH..][..WIDTH];
    // SAFETY: `lanes` holds eight values; the load needs no alignment.
    unsafe { _mm512_loadu_pd(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store(lanes: &mut [f64; super::LANES], vector: usize, values: __m512d) {
    let lanes = &mut lanes[vector * WIDTH..][..WIDTH];
    // SAFETY: `lanes` holds eight values; the store needs no alignment.
    unsafe { _mm512_storeu_pd(lanes.as_mut_ptr(), values) };
}
