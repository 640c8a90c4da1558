//! The search on one source with one encoder.

use search::{Evidence, Prior, Search, Step, Target, Verdict};
use serde::Serialize;
use types::{Quality, QualityScale};

use crate::combine::{Combined, combine};
use crate::error::TuneError;
use crate::probe::{FrameRange, Probe, ProbeKind, ProbeSpec};
use crate::progress::Event;
use crate::request::{EncodeSettings, SearchSettings};
use crate::session::{Known, Session};
use crate::shots::{Sample, choose};
use search::Binding;

/// Qualities that a search usually tries, for estimates.
pub(crate) const PROBES_USUAL: u64 = 3;

/// A quality and what was measured there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tried {
    /// The quality.
    pub quality: Quality,
    /// What it comes to.
    #[serde(flatten)]
    pub measured: Combined,
    /// Seconds of the encodes.
    pub encode_seconds: f64,
    /// Frames encoded.
    pub frame_count: u64,
}

/// The answer of a search.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// How it was encoded.
    pub encode: EncodeSettings,
    /// What was to be reached.
    pub target: Target,
    /// The answer.
    pub quality: Quality,
    /// Why.
    pub evidence: Evidence,
    /// The constraint that decides, and its value.
    pub binding: Binding,
    /// Qualities tried, those known from before included.
    pub probes: usize,
    /// A larger number scored better somewhere.
    pub non_monotone: bool,
    /// Samples that each quality was tried on.
    pub samples: usize,
    /// Which samples.
    #[serde(skip)]
    pub ranges: Vec<FrameRange>,
    /// How many samples were asked for: what stands for several classes is one.
    #[serde(skip)]
    pub count: usize,
    /// All of the source was tried, in one piece: what was measured is no estimate.
    pub whole: bool,
    /// What was measured at the answer.
    pub measured: Combined,
    /// Everything that was tried, best quality first.
    pub tried: Vec<Tried>,
}

/// One search in the making.
pub(crate) struct Hunt<'a> {
    pub session: &'a Session<'a>,
    pub known: &'a Known,
    pub encode: &'a EncodeSettings,
    pub search: &'a SearchSettings,
}

impl Hunt<'_> {
    pub(crate) fn scale(&self) -> QualityScale {
        self.encode.scale(self.session.steps_per_unit(self.encode.encoder))
    }

    pub(crate) fn prior(&self) -> Prior {
        let height = self.encode.size.map_or(self.known.source.info.height, |(_, height)| height);
        Prior::of(self.encode.encoder, self.encode.preset(), height)
    }

    /// The parts that probes look at.
    pub(crate) fn samples(&self, count: usize) -> Vec<Sample> {
        let source = &self.known.source;
        let rate = source.frames_per_second();
        choose(&source.looks, &source.shots, rate, &self.search.sampling, count)
    }

    pub(crate) fn spec(&self, sample: &Sample, quality: Quality, kind: ProbeKind) -> ProbeSpec {
        ProbeSpec {
            reference: self.known.source.media.clone(),
            source_sha256: self.known.source.sha256.clone(),
            range: sample.range,
            kind,
            request: self.encode.at(quality),
            score: self.search.score.clone(),
        }
    }

    /// Finds the answer to a target, with as many samples as it takes.
    pub(crate) fn find(&self, target: &Target) -> Result<Found, TuneError> {
        self.find_knowing(target, &[], self.samples_first())
    }

    /// How many samples a search begins with.
    pub(crate) fn samples_first(&self) -> usize {
        self.search.sampling.count.max(1)
    }

    /// As [`find`](Self::find) with so many samples at least, when searches for other targets have been
    /// made: what they measured on the same samples is known.
    pub(crate) fn find_knowing(
        &self,
        target: &Target,
        before: &[Found],
        count: usize,
    ) -> Result<Found, TuneError> {
        let sampling = &self.search.sampling;
        let mut count = count;
        let mut prior = self.prior();
        loop {
            let samples = self.samples(count);
            let frames: u64 = samples.iter().map(|sample| sample.range.count).sum();
            self.session.pace().add(frames * PROBES_USUAL);
            let ranges: Vec<FrameRange> = samples.iter().map(|sample| sample.range).collect();
            let same = before.iter().filter(|found| found.ranges == ranges);
            let seed: Vec<Tried> = same.flat_map(|found| found.tried.clone()).collect();
            let (verdict, tried) = self.search_on(&samples, prior, target, &seed)?;
            let found = Found { count, ..self.conclude(&samples, target, &verdict, tried)? };
            let half_width = found.measured.half_width;
            let may_widen = count * 2 <= sampling.count_max && !found.whole;
            let allowed = target.tolerance.max(search::TOLERANCE_DEFAULT);
            // How far one sample can be trusted is not known.
            if may_widen && half_width.is_none_or(|half_width| half_width > allowed) {
                count *= 2;
                prior = prior.seen(found.quality, found.measured.pooled.mean);
                self.session.sink.event(&Event::Widened { half_width, samples: count });
                continue;
            }
            self.tell(&verdict, found.quality);
            return Ok(found);
        }
    }

    fn conclude(
        &self,
        samples: &[Sample],
        target: &Target,
        verdict: &Verdict,
        tried: Vec<Tried>,
    ) -> Result<Found, TuneError> {
        let quality = self.scale().at(verdict.index);
        let answer = tried.iter().find(|one| one.quality == quality);
        let measured = answer.map(|one| one.measured).ok_or_else(|| {
            TuneError::Request("a defect: the answer was not measured".to_owned())
        })?;
        Ok(Found {
            encode: self.encode.clone(),
            target: target.clone(),
            quality,
            evidence: verdict.evidence,
            binding: verdict.binding,
            probes: verdict.probes,
            non_monotone: verdict.non_monotone,
            samples: samples.len(),
            count: samples.len(),
            ranges: samples.iter().map(|sample| sample.range).collect(),
            whole: self.is_whole(samples),
            measured,
            tried,
        })
    }

    fn tell(&self, verdict: &Verdict, quality: Quality) {
        if verdict.non_monotone {
            let message = format!(
                "{} is uneven here: somewhere a larger number scored better; the answer was measured and holds",
                self.encode.encoder
            );
            self.session.sink.event(&Event::Note { message });
        }
        self.session.sink.event(&Event::Found {
            encoder: self.encode.encoder,
            quality,
            evidence: verdict.evidence,
            binding: verdict.binding,
            probes: verdict.probes,
        });
    }

    /// Finds the answer to a target on these samples and no others.
    pub(crate) fn find_on(&self, samples: &[Sample], target: &Target) -> Result<Found, TuneError> {
        let (verdict, tried) = self.search_on(samples, self.prior(), target, &[])?;
        self.conclude(samples, target, &verdict, tried)
    }

    fn search_on(
        &self,
        samples: &[Sample],
        prior: Prior,
        target: &Target,
        seed: &[Tried],
    ) -> Result<(Verdict, Vec<Tried>), TuneError> {
        let scale = self.scale();
        let mut search =
            Search::new(scale, prior, target.clone()).with_probes_max(self.search.probes_max);
        let frames: u64 = samples.iter().map(|sample| sample.range.count).sum();
        let mut tried: Vec<Tried> = Vec::new();
        for one in seed {
            let index = scale.index_of(one.quality);
            if !search.knows(index) {
                search.know(index, &one.measured.pooled);
                tried.push(one.clone());
            }
        }
        loop {
            let index = match search.ask() {
                Step::Done(verdict) => {
                    let saved = PROBES_USUAL.saturating_sub(tried.len() as u64);
                    self.session.pace().skipped(frames * saved);
                    tried.sort_by_key(|one| scale.index_of(one.quality));
                    return Ok((verdict, tried));
                }
                Step::Probe(index) => index,
            };
            if tried.len() as u64 >= PROBES_USUAL {
                self.session.pace().add(frames);
            }
            let one = self.try_all(samples, scale.at(index))?;
            search.tell(index, &one.measured.pooled);
            tried.push(one);
        }
    }

    fn is_whole(&self, samples: &[Sample]) -> bool {
        matches!(samples, [only] if only.range == self.known.source.whole())
    }

    /// Tries one quality on all samples.
    pub(crate) fn try_all(&self, samples: &[Sample], quality: Quality) -> Result<Tried, TuneError> {
        let kind = if self.is_whole(samples) { ProbeKind::Whole } else { ProbeKind::Sample };
        let probes: Vec<Probe> = self.session.each(samples, |sample| {
            self.session.measure(self.known, &self.spec(sample, quality, kind))
        })?;
        let shares: Vec<(f64, &Probe)> =
            samples.iter().zip(&probes).map(|(sample, probe)| (sample.share, probe)).collect();
        Ok(Tried {
            quality,
            measured: combine(&shares),
            encode_seconds: probes.iter().map(|p| p.encoded.encode_time.as_secs_f64()).sum(),
            frame_count: probes.iter().map(|probe| probe.encoded.frame_count).sum(),
        })
    }
}
