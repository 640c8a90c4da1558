//! The set of extractors that serves all models and requests of a run.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use sha2::{Digest as _, Sha256};

use super::kind::{Needs, Settings};
use super::motion::{self, MotionColumn};
use super::outputs::{Output, OutputSpec, When};
use super::{
    Extractor, ExtractorKind, FeatureError, FeatureRequest, MODEL_NAME_CHARS_MAX, MODELS_MAX,
    MotionOptions, PsnrOptions, REQUESTS_MAX, cambi,
};
use crate::heat_map::HeatMaps;
use crate::hex::lower_hex;
use crate::model::{LIBVMAF_VERSION, Model};
use crate::picture::PictureSpec;

/// Which columns a table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum OutputSet {
    /// Everything but what costs time of its own where no model reads it and no request asks for
    /// its extractor: `integer_aim` and `integer_adm3`, an eighth of ADM's time.
    #[default]
    Needed,
    /// Every column that libvmaf writes into its logs.
    Full,
}

/// What a plan is made of beside its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanOptions {
    /// Extractors to run beside those of the models.
    pub requests: Vec<FeatureRequest>,
    /// Which columns are wanted.
    pub outputs: OutputSet,
    /// Every how many frames one is scored; motion is measured on every frame all the same.
    pub subsample_interval: NonZeroU32,
}

impl Default for PlanOptions {
    fn default() -> Self {
        Self {
            requests: Vec::new(),
            outputs: OutputSet::default(),
            subsample_interval: NonZeroU32::MIN,
        }
    }
}

/// Neighbours that a range of frames needs beside its own frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Halo {
    /// Pictures before the first frame of the range, on each side that is looked back on
    /// ([`Plan::needs`]). The clip's own first frame has none.
    pub left: u64,
    /// Pictures after the last frame of the range.
    pub right: u64,
}

/// One instance with what the plan decided about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) extractor: Extractor,
    /// Outputs that cost time of their own have columns.
    asked: bool,
}

/// Where the values of a column come from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ColumnSource {
    /// This place in the spatial values of a frame.
    Spatial(usize),
    /// The differences between reference pictures, under these options.
    Motion(MotionOptions, MotionColumn),
}

/// A feature's column before it has values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedColumn {
    pub(crate) name: String,
    pub(crate) source: ColumnSource,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PlannedModel {
    pub(crate) model: Model,
    /// Where each of the model's features comes from.
    pub(crate) inputs: Vec<ColumnSource>,
    /// The names of a collection's columns beside its score.
    pub(crate) bootstrap_names: Vec<String>,
}

/// What a run computes: instances in libvmaf's order of registration, the columns of the table in
/// the order of its logs, and the models.
///
/// Immutable; share it behind an `Arc`.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    instances: Vec<Planned>,
    spatial: Vec<(usize, Output)>,
    columns: Vec<PlannedColumn>,
    models: Vec<PlannedModel>,
    subsample_interval: NonZeroU32,
}

impl Plan {
    /// Plans the extractors of all models, then those of the requests. Instances that compute the
    /// same are shared; where one of them asks for debug outputs, all have them.
    ///
    /// # Errors
    /// [`FeatureError`] names what is not built, and refuses models that share a name.
    pub fn new(models: Vec<Model>, options: &PlanOptions) -> Result<Self, FeatureError> {
        check_counts(&models, options)?;
        let mut instances: Vec<Planned> = Vec::new();
        let mut reads = Vec::new();
        for model in &models {
            for feature in model.features() {
                let (extractor, output) = Extractor::of_feature(&feature.name, &feature.options)?;
                let spec = &extractor.kind().outputs()[output.0];
                let asked = spec.when == When::Asked || options.outputs == OutputSet::Full;
                reads.push((register(&mut instances, extractor, asked), output));
            }
        }
        for request in &options.requests {
            let extractor = Extractor::new(&request.name, &request.options)?;
            register(&mut instances, extractor, true);
        }
        check_folders(&instances, &models, options)?;
        let spatial = spatial_outputs(&instances);
        let mut reads = reads.into_iter();
        let models: Vec<_> = models
            .into_iter()
            .map(|model| {
                let inputs = reads.by_ref().take(model.features().len());
                let inputs = inputs
                    .map(|(instance, output)| source(&instances, &spatial, instance, output))
                    .collect();
                let bootstrap_names = model.bootstrap_names().collect();
                PlannedModel { model, inputs, bootstrap_names }
            })
            .collect();
        let columns = columns(&instances, &spatial);
        check_names(&columns, &models)?;
        let subsample_interval = options.subsample_interval;
        Ok(Self { instances, spatial, columns, models, subsample_interval })
    }

    /// Whether the spatial extractors run on this frame. `frame_index` counts from the first frame
    /// of the clip that is scored.
    #[must_use]
    pub fn needs_spatial(&self, frame_index: u64) -> bool {
        frame_index.is_multiple_of(u64::from(self.subsample_interval.get()))
    }

    /// Which pictures beside the two of a frame are looked at, and which planes of all.
    #[must_use]
    pub fn needs(&self) -> Needs {
        let all = self.instances.iter().map(|planned| planned.extractor.settings().needs());
        all.fold(Needs::NONE, Needs::and)
    }

    /// Whether every extractor takes pictures of this kind.
    ///
    /// # Errors
    /// [`FeatureError::Unsupported`] names the first that does not, and why: pictures too small for
    /// it, too deep, or without a plane that it looks at.
    pub fn check_pictures(&self, spec: &PictureSpec) -> Result<(), FeatureError> {
        self.instances.iter().try_for_each(|planned| planned.extractor.settings().check(spec))
    }

    /// What a range of frames needs so that its values, merged with those of the other ranges, are
    /// the bits of a run in one piece. Nothing is needed after the range: values that depend on
    /// the next frame are computed when all frames are there.
    #[must_use]
    pub fn halo(&self) -> Halo {
        let needs = self.needs();
        Halo { left: needs.references_before.max(needs.distorted_before), right: 0 }
    }

    /// Which instance measures the squared errors of every frame, also of those that subsampling
    /// leaves out; `None` where nothing of the whole clip is asked for. There is one at most: the
    /// columns of two would share their names.
    pub(crate) fn clip_psnr_instance(&self) -> Option<usize> {
        self.instances.iter().position(|planned| planned.extractor.clip_psnr().is_some())
    }

    /// With which options it does so.
    pub(crate) fn clip_psnr(&self) -> Option<&PsnrOptions> {
        self.instances.iter().find_map(|planned| planned.extractor.clip_psnr())
    }

    /// The folder that somebody asked heat maps to be written to. Nothing writes there unless an
    /// analyzer is given a sink ([`FrameAnalyzer::with_heat_maps`]): whoever serves others must refuse
    /// such a plan.
    ///
    /// [`FrameAnalyzer::with_heat_maps`]: crate::FrameAnalyzer::with_heat_maps
    #[must_use]
    pub fn heat_maps_folder(&self) -> Option<&str> {
        self.instances.iter().find_map(|planned| planned.extractor.folder())
    }

    /// The files of heat maps, for pictures of this kind; `None` where none were asked for or the
    /// pictures are not taken.
    #[must_use]
    pub fn heat_maps(&self, spec: &PictureSpec) -> Option<HeatMaps> {
        self.instances.iter().find_map(|planned| planned.extractor.heat_maps(spec))
    }

    /// Which instance makes heat maps.
    pub(crate) fn heat_map_instance(&self) -> Option<usize> {
        self.instances.iter().position(|planned| planned.extractor.folder().is_some())
    }

    /// How many reference pictures back each measured motion looks: 1, 2, both or none.
    pub(crate) fn motion_windows(&self) -> [bool; 2] {
        let mut windows = [false; 2];
        for planned in &self.instances {
            if let Settings::Motion(options) = planned.extractor.settings()
                && !options.force_zero
            {
                windows[usize::from(options.five_frame_window)] = true;
            }
        }
        windows
    }

    /// Every how many frames one is scored.
    #[must_use]
    pub const fn subsample_interval(&self) -> NonZeroU32 {
        self.subsample_interval
    }

    /// The models, in the order asked for.
    pub fn models(&self) -> impl ExactSizeIterator<Item = &Model> {
        self.models.iter().map(|planned| &planned.model)
    }

    /// The names of the table's columns: features, then the score of each model, then what
    /// collections have beside their scores ([`Model::bootstrap_names`]), as libvmaf orders them.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        let features = self.columns.iter().map(|column| column.name.as_str());
        let bootstrap = self.models.iter().flat_map(|planned| &planned.bootstrap_names);
        features.chain(self.models().map(Model::name)).chain(bootstrap.map(String::as_str))
    }

    /// Which column is the first model's score; `None` where there is no model.
    #[must_use]
    pub fn headline_column(&self) -> Option<usize> {
        (!self.models.is_empty()).then_some(self.columns.len())
    }

    /// The kinds of extractors that run, each once.
    pub fn extractor_kinds(&self) -> impl Iterator<Item = ExtractorKind> {
        ExtractorKind::ALL
            .into_iter()
            .filter(|kind| self.instances.iter().any(|planned| planned.extractor.kind() == *kind))
    }

    /// SHA-256 over everything that decides what a frame's values are and mean: values of plans
    /// with one fingerprint can be merged.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        let mut field = |text: &str| {
            hash.update((text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        field("vmafx frame values 2");
        field(LIBVMAF_VERSION);
        field(&self.subsample_interval.to_string());
        for (instance, output) in &self.spatial {
            let planned = &self.instances[*instance];
            let name = planned.extractor.kind().outputs()[output.0].name;
            let settings = planned.extractor.settings();
            field(&format!("{name} of {settings:?}, asked: {}", planned.computes_asked()));
        }
        field(&format!("motion over {:?}", self.motion_windows()));
        if self.clip_psnr().is_some() {
            field("squared errors");
        }
        lower_hex(&hash.finalize())
    }

    pub(crate) fn instances(&self) -> &[Planned] {
        &self.instances
    }

    /// What each place in the spatial values of a frame holds: an instance's output. Places of one
    /// instance lie together.
    pub(crate) fn spatial(&self) -> &[(usize, Output)] {
        &self.spatial
    }

    pub(crate) fn columns(&self) -> &[PlannedColumn] {
        &self.columns
    }

    pub(crate) fn planned_models(&self) -> &[PlannedModel] {
        &self.models
    }
}

impl Planned {
    /// Whether outputs that cost time of their own are computed: somebody reads them, and nobody
    /// said to skip them.
    pub(crate) fn computes_asked(&self) -> bool {
        self.asked && !self.extractor.skips_aim()
    }

    /// Outputs that have a column, with their keys.
    fn outputs(&self) -> impl Iterator<Item = (Output, &'static OutputSpec, String)> {
        self.extractor.outputs().filter(|(_, spec, _)| self.asked || spec.when != When::Asked)
    }
}

fn check_counts(models: &[Model], options: &PlanOptions) -> Result<(), FeatureError> {
    let counts = [
        ("models", models.len(), MODELS_MAX),
        ("feature requests", options.requests.len(), REQUESTS_MAX),
    ];
    for (what, given, max) in counts {
        if given > max {
            return Err(FeatureError::TooMany { what, given, max });
        }
    }
    if models.is_empty() && options.requests.is_empty() {
        return Err(FeatureError::Nothing);
    }
    Ok(())
}

/// libvmaf's names of heat maps have no place for whose they are: one folder a run.
fn check_folders(
    instances: &[Planned],
    models: &[Model],
    options: &PlanOptions,
) -> Result<(), FeatureError> {
    let of_models = models.iter().flat_map(|model| model.features()).map(|it| &it.options);
    let all = options.requests.iter().map(|request| &request.options).chain(of_models);
    let folders: BTreeSet<&str> = all.filter_map(|it| it.get(cambi::HEAT_MAPS)).collect();
    let writers = instances.iter().filter(|planned| planned.extractor.folder().is_some());
    if folders.len() > 1 || writers.count() > 1 {
        let what = format!("{} may be given to one instance only", cambi::HEAT_MAPS);
        return Err(FeatureError::Unsupported { extractor: ExtractorKind::Cambi.name(), what });
    }
    Ok(())
}

/// Every column must have a name of its own, and every model one that all log formats can hold.
fn check_names(columns: &[PlannedColumn], models: &[PlannedModel]) -> Result<(), FeatureError> {
    let mut known = BTreeSet::new();
    if let Some(twice) = columns.iter().find(|column| !known.insert(column.name.as_str())) {
        return Err(FeatureError::DuplicateColumn(twice.name.clone()));
    }
    let names: Vec<&str> = models.iter().map(|planned| planned.model.name()).collect();
    for (index, name) in names.iter().enumerate() {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if !(1..=MODEL_NAME_CHARS_MAX).contains(&name.len()) || !name.chars().all(is_plain) {
            return Err(FeatureError::ModelName(name.chars().take(128).collect()));
        }
        let is_feature = columns.iter().any(|column| column.name == *name);
        if is_feature || names[..index].contains(name) {
            return Err(FeatureError::DuplicateModelName((*name).to_owned()));
        }
    }
    let is_taken =
        |name: &str| names.contains(&name) || columns.iter().any(|column| column.name == name);
    // Those of two collections differ as the collections' own names do.
    let mut bootstrap = models.iter().flat_map(|planned| &planned.bootstrap_names);
    match bootstrap.find(|name| is_taken(name)) {
        Some(taken) => Err(FeatureError::DuplicateModelName(taken.clone())),
        None => Ok(()),
    }
}

/// The index of the instance that computes what `extractor` does, which is added if there is none.
fn register(instances: &mut Vec<Planned>, extractor: Extractor, asked: bool) -> usize {
    let same = |planned: &Planned| planned.extractor.computes_the_same(&extractor);
    if let Some(index) = instances.iter().position(same) {
        instances[index].extractor.absorb(&extractor);
        instances[index].asked |= asked;
        return index;
    }
    instances.push(Planned { extractor, asked });
    instances.len() - 1
}

fn spatial_outputs(instances: &[Planned]) -> Vec<(usize, Output)> {
    let spatial = |planned: &&Planned| planned.extractor.kind() != ExtractorKind::Motion;
    instances
        .iter()
        .enumerate()
        .filter(|(_, planned)| spatial(planned))
        .flat_map(|(index, planned)| planned.outputs().map(move |(output, ..)| (index, output)))
        .collect()
}

fn source(
    instances: &[Planned],
    spatial: &[(usize, Output)],
    instance: usize,
    output: Output,
) -> ColumnSource {
    if let Settings::Motion(options) = instances[instance].extractor.settings() {
        return ColumnSource::Motion(*options, motion::column(output));
    }
    let place = spatial.iter().position(|place| *place == (instance, output));
    ColumnSource::Spatial(place.expect("every column's output was planned"))
}

/// All feature columns in the order in which libvmaf first writes each: instance by instance for a
/// frame, then what is known only at the end.
fn columns(instances: &[Planned], spatial: &[(usize, Output)]) -> Vec<PlannedColumn> {
    let all = || {
        instances.iter().enumerate().flat_map(|(instance, planned)| {
            planned.outputs().map(move |(output, spec, name)| (instance, output, spec, name))
        })
    };
    let first = all().filter(|(_, _, spec, _)| !spec.at_end);
    let last = all().filter(|(_, _, spec, _)| spec.at_end);
    first
        .chain(last)
        .map(|(instance, output, _, name)| PlannedColumn {
            name,
            source: source(instances, spatial, instance, output),
        })
        .collect()
}
