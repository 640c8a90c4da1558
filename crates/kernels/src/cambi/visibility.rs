//! Which steps between luma levels can be seen, level by level.
//!
//! A step of `d` levels counts at level `v` when it is visible from there (`v` is at most the
//! brightest level for `d`) and not in the dark: `v + steps + d` is above the dimmest visible
//! level. (The `steps` in that sum is libvmaf's: it compares levels moved up by the number of
//! steps with one that is not.) Contrasts are weighted by `d`.
//!
//! Only levels where some step counts, and their neighbours within the largest step, are ever
//! looked at. They are numbered as *bins* from 0, so that every level that counts has all its
//! neighbours among the bins; everything else is [`NO_BIN`].

/// Steps that are looked at in one go.
pub(super) const STEPS: usize = 4;

/// The bin of samples that count for nothing.
pub(super) const NO_BIN: u16 = u16::MAX;

/// The largest level a picture can hold: samples of more than ten bits are rounded, up to 1024.
const LEVEL_MAX: i32 = 1024;

/// Weight of the steps 1, 2, 3 and so on: the response to contrast above threshold.
const WEIGHTS: [u8; 32] = [
    1, 2, 3, 4, 4, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8, 8, 8, 8, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9,
];

/// The weight of a step of `index + 1` levels.
pub(super) fn weight(index: usize) -> u32 {
    u32::from(WEIGHTS[index])
}

/// [`STEPS`] neighbouring steps, and where they count.
#[derive(Clone, Debug)]
pub(super) struct StepGroup {
    /// The smallest step of the group less one: step `i` of the group is `first + i + 1` levels.
    pub(super) first: usize,
    /// Weight of each step.
    pub(super) weights: [f32; STEPS],
    /// For each bin and step all ones where the step counts, else 0.
    pub(super) gates: Vec<[u16; STEPS]>,
}

/// The bins and the steps that count in each.
#[derive(Clone, Debug)]
pub(super) struct Visibility {
    /// The level of bin 0; may be below 0.
    pub(super) level_min: i32,
    /// How many bins there are; 0 when no step counts anywhere.
    pub(super) bins: usize,
    /// Bins on each side of those with steps that count.
    pub(super) margin: usize,
    /// All steps, by groups.
    pub(super) groups: Vec<StepGroup>,
}

impl Visibility {
    /// `brightest[d - 1]` is the brightest level where a step of `d` is visible.
    pub(super) fn new(brightest: &[u16], dimmest: u16) -> Self {
        let steps = brightest.len();
        let counts = |level: i32, index: usize| {
            brightest.get(index).is_some_and(|brightest| {
                level <= i32::from(*brightest)
                    && level + (steps + index + 1) as i32 > i32::from(dimmest)
            })
        };
        let margin = steps.next_multiple_of(STEPS);
        let some = |level: &i32| (0..steps).any(|index| counts(*level, index));
        let first = (0..=LEVEL_MAX).find(some);
        let last = (0..=LEVEL_MAX).rev().find(some);
        let (Some(first), Some(last)) = (first, last) else {
            return Self { level_min: 0, bins: 0, margin, groups: Vec::new() };
        };
        let level_min = first - margin as i32;
        let bins = (last - first + 1) as usize + 2 * margin;
        let group = |first: usize| StepGroup {
            first,
            weights: std::array::from_fn(|i| f32::from(WEIGHTS[(first + i).min(31)])),
            gates: (0..bins as i32)
                .map(|bin| {
                    std::array::from_fn(|i| {
                        if counts(level_min + bin, first + i) { u16::MAX } else { 0 }
                    })
                })
                .collect(),
        };
        let groups = (0..steps).step_by(STEPS).map(group).collect();
        Self { level_min, bins, margin, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_reach_one_margin_beyond_the_levels_that_count() {
        let visibility = Visibility::new(&[178, 305, 432, 559], 0);
        assert_eq!((visibility.level_min, visibility.margin), (-4, 4));
        assert_eq!(visibility.bins, 560 + 8);
        let gates = &visibility.groups[0].gates;
        assert_eq!(gates[4 + 178], [u16::MAX; 4]);
        assert_eq!(gates[4 + 179], [0, u16::MAX, u16::MAX, u16::MAX]);
        assert_eq!(gates[4 + 559], [0, 0, 0, u16::MAX]);
        assert_eq!(gates[4 + 560], [0; 4]);
    }

    #[test]
    fn steps_in_the_dark_do_not_count() {
        let visibility = Visibility::new(&[178, 305, 432, 559], 78);
        // 71 + 4 + 4 is the first sum above 78.
        assert_eq!(visibility.level_min, 71 - 4);
        let gates = &visibility.groups[0].gates;
        assert_eq!(gates[4], [0, 0, 0, u16::MAX]);
        assert_eq!(gates[5], [0, 0, u16::MAX, u16::MAX]);
    }

    #[test]
    fn nothing_is_left_when_all_that_is_visible_is_in_the_dark() {
        assert_eq!(Visibility::new(&[178, 305, 432, 559], 600).bins, 0);
        assert_eq!(Visibility::new(&[178], 178).bins, 2 * 4 + 2);
    }

    #[test]
    fn fewer_steps_than_a_group_leave_its_rest_shut() {
        let visibility = Visibility::new(&[178, 305], 0);
        assert_eq!(visibility.groups.len(), 1);
        assert!(visibility.groups[0].gates.iter().all(|gates| gates[2..] == [0, 0]));
        assert_eq!(Visibility::new(&[178; 32], 0).groups.len(), 8);
    }
}
