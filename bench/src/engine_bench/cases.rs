//! What is asked of the engines, with what the project asks of itself.

/// One question, put to all engines in the same words.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// For our command line and for libvmaf's program.
    pub(crate) arguments: Vec<String>,
    /// For the filter; `None` where it cannot be asked.
    pub(crate) filter: Option<String>,
    /// Distorted videos in one run. The others run once for each.
    pub(crate) renditions: u32,
    /// Frames per CPU second, as a multiple of libvmaf's own program's, at 1920x1080 with one
    /// thread: what must be reached at 8 and at 10 bits.
    pub(crate) goals: [Option<f64>; 2],
    /// Beside 1920x1080, one thread: other sizes and two threads too.
    pub(crate) everywhere: bool,
}

/// Renditions of a ladder.
const LADDER: u32 = 4;

impl Case {
    fn new(name: &str, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            filter: None,
            renditions: 1,
            goals: [None, None],
            everywhere: false,
        }
    }

    fn model(version: &str) -> Self {
        let model = format!("version={version}");
        let case = Self::new(version, &["-m", &model]);
        Self { filter: Some(format!("model={model}")), ..case }
    }

    fn feature(feature: &str) -> Self {
        let name = feature.split_once('=').map_or(feature, |(name, _)| name);
        let case = Self::new(name, &["-n", "--feature", feature]);
        Self { name: feature.to_owned(), ..case }
    }

    fn with(self, arguments: &[&str], name: &str) -> Self {
        let more = arguments.iter().map(|&argument| argument.to_owned());
        Self {
            name: format!("{}, {name}", self.name),
            arguments: self.arguments.into_iter().chain(more).collect(),
            filter: None,
            ..self
        }
    }

    fn goals(self, eight: f64, ten: Option<f64>) -> Self {
        Self { goals: [Some(eight), ten], ..self }
    }

    /// All that are asked; `features` asks for each feature alone too.
    pub(crate) fn all(features: bool) -> Vec<Self> {
        const V0: &str = "vmaf_v0.6.1";
        const V1: &str = "vmaf_v1.0.16_3d0h";
        let everywhere = |case: Self| Self { everywhere: true, ..case };
        let ladder = Self { renditions: LADDER, ..Self::model(V0) };
        let mut cases = vec![
            everywhere(Self::model(V0).goals(2.0, Some(1.8))),
            everywhere(Self::model(V1).goals(1.5, Some(1.5))),
            Self::model(V0).with(&["--cpumask", "48"], "AVX2").goals(1.7, None),
            Self::model(V0).with(&["--cpumask", "63"], "no SIMD").goals(2.0, None),
            Self::model(V1).with(&["--cpumask", "48"], "AVX2"),
            Self { filter: None, name: format!("{V0}, a rendition of {LADDER}"), ..ladder }
                .goals(2.6, None),
        ];
        if features {
            cases.extend([
                Self::feature("vif"),
                Self::feature("adm"),
                Self::feature("motion"),
                Self::feature("cambi"),
                Self::feature("speed_chroma"),
                Self::feature("speed_temporal"),
                Self::feature("psnr"),
                Self::feature("psnr_hvs").goals(5.0, Some(5.0)),
                Self::feature("float_ssim").goals(6.0, Some(6.0)),
                Self::feature("float_ms_ssim").goals(20.0, Some(20.0)),
                Self::feature("ciede").goals(10.0, Some(10.0)),
            ]);
        }
        cases
    }
}
