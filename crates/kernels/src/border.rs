//! Borders: where a filter reads when its window leaves the picture.

/// The index inside `0..len` that `index` reflects to, without repeating the border sample.
///
/// A window wider than the picture reflects again and again at both sides; a single sample stands
/// for all. `len` is at least 1.
#[inline(always)]
pub(crate) fn reflect(index: isize, len: usize) -> usize {
    let last = len as isize - 1;
    if last == 0 {
        return 0;
    }
    let folded = index.rem_euclid(2 * last);
    (if folded > last { 2 * last - folded } else { folded }) as usize
}

/// Fills the `reach` places on both sides of the `len` values that start at `line[reach]`.
#[inline(always)]
pub(crate) fn extend_line<T: Copy>(line: &mut [T], reach: usize, len: usize) {
    if len > reach {
        let last = reach + len - 1;
        for distance in 1..=reach {
            line[reach - distance] = line[reach + distance];
            line[last + distance] = line[last - distance];
        }
        return;
    }
    for distance in 1..=reach {
        line[reach - distance] = line[reach + reflect(-(distance as isize), len)];
        line[reach + len - 1 + distance] =
            line[reach + reflect((len - 1 + distance) as isize, len)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_reflect_around_the_border_sample_as_often_as_needed() {
        let walk = |len| (-5..8).map(|index| reflect(index, len)).collect::<Vec<_>>();
        assert_eq!(walk(8), [5, 4, 3, 2, 1, 0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(walk(3), [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(walk(2), [1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]);
        assert_eq!(walk(1), [0; 13]);
    }

    #[test]
    fn a_line_is_extended_on_both_sides() {
        let mut line = [0, 0, 0, 7, 8, 0, 0, 0];
        extend_line(&mut line, 3, 2);
        assert_eq!(line, [8, 7, 8, 7, 8, 7, 8, 7]);
        let mut line = [0, 0, 1, 2, 3, 0, 0];
        extend_line(&mut line, 2, 3);
        assert_eq!(line, [3, 2, 1, 2, 3, 2, 1]);
    }
}
