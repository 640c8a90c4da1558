//! The worst moments of a clip, one frame each.

/// A frame and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Worst {
    pub frame_index: u64,
    pub score: f64,
}

/// The `count` frames with the lowest scores, worst first, any two at least `frame_gap` frames apart:
/// a bad scene is shown once and not `count` times. Frames without a score are left out; of equal
/// ones the earlier comes first.
pub(crate) fn worst(
    frame_indices: &[u64],
    scores: &[f64],
    count: usize,
    frame_gap: u64,
) -> Vec<Worst> {
    let mut order: Vec<Worst> = frame_indices
        .iter()
        .zip(scores)
        .filter(|(_, score)| score.is_finite())
        .map(|(frame_index, score)| Worst { frame_index: *frame_index, score: *score })
        .collect();
    order.sort_by(|a, b| a.score.total_cmp(&b.score).then(a.frame_index.cmp(&b.frame_index)));
    let mut chosen: Vec<Worst> = Vec::with_capacity(count.min(order.len()));
    for candidate in order {
        if chosen.len() == count {
            break;
        }
        let far = |other: &Worst| other.frame_index.abs_diff(candidate.frame_index) >= frame_gap;
        if chosen.iter().all(far) {
            chosen.push(candidate);
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indices(scores: &[f64], count: usize, gap: u64) -> Vec<u64> {
        let frames: Vec<u64> = (0..scores.len() as u64).collect();
        worst(&frames, scores, count, gap).iter().map(|frame| frame.frame_index).collect()
    }

    #[test]
    fn neighbours_of_a_bad_frame_are_left_out() {
        let scores = [90.0, 20.0, 10.0, 21.0, 90.0, 30.0, 90.0];
        assert_eq!(indices(&scores, 2, 3), [2, 5]);
        assert_eq!(indices(&scores, 2, 1), [2, 1]);
        assert_eq!(indices(&scores, 9, 4), [2, 6]);
    }

    #[test]
    fn frames_without_a_score_are_no_frames_and_order_is_stable() {
        assert_eq!(indices(&[5.0, f64::NAN, 5.0], 3, 1), [0, 2]);
        assert!(indices(&[], 3, 1).is_empty());
        assert!(indices(&[1.0], 0, 1).is_empty());
    }

    #[test]
    fn frame_numbers_and_not_places_count_where_frames_were_left_out() {
        let found = worst(&[0, 10, 20], &[3.0, 1.0, 2.0], 3, 11);
        let found: Vec<u64> = found.iter().map(|frame| frame.frame_index).collect();
        assert_eq!(found, [10]);
    }
}
