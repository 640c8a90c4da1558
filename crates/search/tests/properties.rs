//! What holds on every curve and every cloud: tried on thousands of random ones, each named by its
//! seed.

use search::{Evidence, Prior, Search, Step, Target, bd_rate, hull};
use types::{Encoder, PooledScore};

/// Random numbers that a seed repeats (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 up to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, from: f64, to: f64) -> f64 {
        from + self.unit() * (to - from)
    }
}

fn pooled(mean: f64) -> PooledScore {
    let (p1, p5, p10) = (mean - 9.0, mean - 6.0, mean - 4.0);
    let rest = (mean, mean, mean, mean);
    let (harmonic_mean, max, p25, p50) = rest;
    PooledScore {
        mean,
        harmonic_mean,
        min: p1,
        max,
        standard_deviation: 1.0,
        p1,
        p5,
        p10,
        p25,
        p50,
    }
}

/// Scores by place: a logistic fall of random place, steepness and unevenness; `ripple` is the
/// largest rise from one place to the next.
fn random_curve(random: &mut Random, len: usize, ripple: f64) -> Vec<f64> {
    let middle = random.between(0.35, 1.1) * len as f64;
    let width = random.between(0.06, 0.2) * len as f64;
    let bend = random.between(0.7, 1.4);
    let top = random.between(96.0, 100.0);
    (0..len)
        .map(|index| {
            let t = (index as f64 - middle) / width;
            let fall = top / (1.0 + (t * bend).exp());
            (fall + random.between(0.0, ripple)).min(100.0)
        })
        .collect()
}

struct Ran {
    index: usize,
    evidence: Evidence,
    asked: Vec<usize>,
}

fn run(encoder: Encoder, curve: &[f64], target: Target, seed: u64) -> Ran {
    let prior = Prior::of(encoder, encoder.preset_default(), 720);
    let mut search = Search::new(encoder.scale(), prior, target);
    let mut asked = Vec::new();
    loop {
        match search.ask() {
            Step::Done(verdict) => {
                return Ran { index: verdict.index, evidence: verdict.evidence, asked };
            }
            Step::Probe(index) => {
                assert!(!asked.contains(&index), "seed {seed}: {index} is asked for twice");
                assert!(index < curve.len(), "seed {seed}: {index} is off the scale");
                asked.push(index);
                search.tell(index, &pooled(curve[index]));
            }
        }
    }
}

/// The last place that reaches the target, by looking at all of them.
fn brute_force(curve: &[f64], at_least: f64) -> Option<usize> {
    curve.iter().rposition(|score| *score >= at_least)
}

#[test]
fn on_every_monotone_curve_the_answer_is_the_one_that_looking_everywhere_finds() {
    let (mut searches, mut probes) = (0, Vec::new());
    for seed in 0..4_000_u64 {
        let mut random = Random(seed);
        let encoder = Encoder::ALL[seed as usize % Encoder::ALL.len()];
        let curve = random_curve(&mut random, encoder.scale().len(), 0.0);
        let at_least = random.between(60.0, 97.0);
        let exact = Target { tolerance: 0.0, ..Target::mean(at_least) };
        let ran = run(encoder, &curve, exact, seed);
        match brute_force(&curve, at_least) {
            Some(true_index) => assert_eq!(ran.index, true_index, "seed {seed}, {encoder}"),
            None => assert_eq!(ran.evidence, Evidence::Unreachable, "seed {seed}"),
        }
        let ran = run(encoder, &curve, Target::mean(at_least), seed);
        if let Some(true_index) = brute_force(&curve, at_least) {
            let close = curve[ran.index] <= at_least + 0.5 || ran.index == true_index;
            assert!(curve[ran.index] >= at_least && close, "seed {seed}");
            probes.push(ran.asked.len());
            searches += 1;
        }
    }
    probes.sort_unstable();
    let at = |share: f64| probes[(probes.len() as f64 * share) as usize];
    println!("{searches} searches: median {} probes, p90 {}", at(0.5), at(0.9));
    assert!(searches > 3_000, "{searches} searches say too little");
    // Random curves are stranger than video, and steep ones need the proof of the next step.
    assert!(at(0.5) <= 4 && at(0.9) <= 6, "median {}, p90 {}", at(0.5), at(0.9));
}

/// The typical curve of an encoder, moved, stretched and flattened as much as real material does,
/// rippled by as much as encoders are.
fn likely_curve(random: &mut Random, encoder: Encoder) -> Vec<f64> {
    let prior = Prior::of(encoder, encoder.preset_default(), 720);
    let (moved, stretch) = (random.between(-6.0, 6.0), random.between(0.85, 1.2));
    let top = random.between(96.5, 99.8);
    let scale = encoder.scale();
    // Scores by number, by looking the typical curve up backwards.
    let typical = |number: f64| {
        let (mut low, mut high) = (0.0_f64, 100.0_f64);
        for _ in 0..40 {
            let middle = low.midpoint(high);
            if prior.number_at(middle) > number { low = middle } else { high = middle }
        }
        low
    };
    (0..scale.len())
        .map(|index| {
            let number = (scale.at(index).value() - 30.0 - moved) * stretch + 30.0;
            typical(number).min(top) + random.between(0.0, 0.04)
        })
        .collect()
}

#[test]
fn on_likely_curves_three_probes_are_usual_and_four_nearly_always_enough() {
    for encoder in [Encoder::X264, Encoder::X265] {
        let mut probes = Vec::new();
        for seed in 0..1_500_u64 {
            let mut random = Random(seed ^ 0x1234_5678);
            let curve = likely_curve(&mut random, encoder);
            let at_least = random.between(78.0, 95.0);
            let ran = run(encoder, &curve, Target::mean(at_least), seed);
            if ran.evidence.is_met() {
                probes.push(ran.asked.len());
            }
        }
        probes.sort_unstable();
        assert!(probes.len() > 1_000, "{encoder}: {} searches say too little", probes.len());
        let at = |share: f64| probes[(probes.len() as f64 * share) as usize];
        println!("{encoder}: median {} probes, p90 {}, p99 {}", at(0.5), at(0.9), at(0.99));
        assert!(at(0.5) <= 3 && at(0.9) <= 4, "{encoder}: median {}, p90 {}", at(0.5), at(0.9));
    }
}

#[test]
fn on_mildly_uneven_curves_the_answer_holds_and_the_search_ends() {
    for seed in 0..4_000_u64 {
        let mut random = Random(seed ^ 0xabcd_ef01);
        let encoder = Encoder::ALL[seed as usize % Encoder::ALL.len()];
        let ripple = random.between(0.05, 1.0);
        let curve = random_curve(&mut random, encoder.scale().len(), ripple);
        let at_least = random.between(60.0, 97.0);
        let tolerance = if seed % 2 == 0 { 0.0 } else { 0.5 };
        let ran = run(encoder, &curve, Target { tolerance, ..Target::mean(at_least) }, seed);
        assert!(ran.asked.len() <= search::PROBES_MAX_DEFAULT, "seed {seed}: {:?}", ran.asked);
        if ran.evidence.is_met() {
            let score = curve[ran.index];
            assert!(score >= at_least, "seed {seed}");
            let next = curve.get(ran.index + 1);
            let holds = score <= at_least + tolerance
                || next.is_none_or(|next| *next < at_least)
                || ran.evidence == Evidence::ProbesSpent;
            assert!(holds, "seed {seed}: {score} for {at_least}, next {next:?}");
        } else {
            assert!(curve[0] < at_least, "seed {seed}: the best place was not tried");
        }
    }
}

#[test]
fn any_answers_at_all_end_the_search_within_its_probes() {
    for seed in 0..2_000_u64 {
        let mut random = Random(seed ^ 0x5555);
        let encoder = Encoder::ALL[seed as usize % Encoder::ALL.len()];
        let noise: Vec<f64> = (0..encoder.scale().len())
            .map(|_| match random.next() % 20 {
                0 => f64::NAN,
                1 => f64::INFINITY,
                _ => random.between(0.0, 100.0),
            })
            .collect();
        let at_least = random.between(0.0, 100.0);
        let target = Target { tolerance: 0.0, ..Target::mean(at_least) };
        let ran = run(encoder, &noise, target, seed);
        assert!(!ran.asked.is_empty() && ran.asked.len() <= search::PROBES_MAX_DEFAULT);
        assert!(!ran.evidence.is_met() || noise[ran.index] >= at_least, "seed {seed}");
    }
}

/// Whether some mix of two points, or one alone, costs no more and reaches no less.
fn is_beaten(points: &[(f64, f64)], i: usize) -> bool {
    let at = |j: usize| (points[j].0.ln(), points[j].1);
    let (x, y) = at(i);
    let others = || (0..points.len()).filter(move |j| *j != i);
    let alone = others().any(|j| {
        let (xj, yj) = at(j);
        xj <= x && yj >= y && ((xj, yj) != (x, y) || j < i)
    });
    alone
        || others().any(|a| {
            others().any(|b| {
                let ((xa, ya), (xb, yb)) = (at(a), at(b));
                xa < x && x < xb && ya + (yb - ya) * (x - xa) / (xb - xa) >= y
            })
        })
}

#[test]
fn the_hull_is_what_comparing_every_point_with_every_pair_leaves() {
    let mut kept = 0;
    for seed in 0..600_u64 {
        let mut random = Random(seed ^ 0x77);
        let count = (random.next() % 40) as usize;
        let points: Vec<(f64, f64)> = (0..count)
            .map(|_| {
                let rate = random.between(2.0, 9.0).exp();
                // Coarse scores, so that points coincide and lie beside each other.
                (rate, (random.between(0.0, 40.0) + 6.0 * rate.ln()).floor())
            })
            .collect();
        let found = hull(&points);
        let mut brute: Vec<usize> = (0..count).filter(|i| !is_beaten(&points, *i)).collect();
        brute.sort_by(|a, b| points[*a].0.total_cmp(&points[*b].0));
        assert_eq!(found, brute, "seed {seed}: {points:?}");
        kept += found.len();
    }
    assert!(kept > 1_000, "{kept} points on hulls say too little");
}

#[test]
fn bd_rate_is_antisymmetric_on_random_curves() {
    let mut compared = 0;
    for seed in 0..500_u64 {
        let mut random = Random(seed ^ 0x99);
        let mut curve = || {
            let (mut rate, mut score) = (random.between(50.0, 200.0), random.between(50.0, 70.0));
            (0..5)
                .map(|_| {
                    rate *= random.between(1.3, 2.5);
                    score += random.between(1.0, 9.0);
                    search::RatePoint { rate, score }
                })
                .collect::<Vec<_>>()
        };
        let (a, b) = (curve(), curve());
        if let (Some(there), Some(back)) = (bd_rate(&a, &b), bd_rate(&b, &a)) {
            assert!(((1.0 + there) * (1.0 + back) - 1.0).abs() < 1e-9, "seed {seed}");
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared} comparisons say too little");
}
