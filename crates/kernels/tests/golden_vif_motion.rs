//! Scores of libvmaf 3.2 (its portable code, revision f85a8536) for synthetic pictures.
//!
//! The numbers were printed with 17 digits by that library, fed with the pictures of
//! `synthetic::pair(content, size, bit_depth, frame, GOLDEN_SEED)`, odd sizes included. They change
//! only when the definition of a feature changes, never to make a test pass.

mod synthetic;

use kernels::motion::{MotionParams, MotionScratch, motion_sad, motion_score};
use kernels::vif::{VifParams, VifScratch, vif};
use synthetic::{Content, pair};
use testkit::isa::every_isa;

const GOLDEN_SEED: u64 = 42;

struct Golden {
    content: Content,
    size: (usize, usize),
    bit_depth: u32,
    /// The frame that is scored; its motion is against the frame before.
    frame: usize,
    limit: f64,
    /// Numerator, denominator and score of each VIF scale.
    scales: [(f64, f64, f64); 4],
    motion: f64,
}

#[test]
fn scores_equal_the_reference_implementation_to_the_last_bit() {
    let mut compared = 0;
    let mut vif_scratch = VifScratch::new();
    let mut motion_scratch = MotionScratch::new();
    for golden in GOLDEN {
        let Golden { content, size, bit_depth, frame, limit, .. } = *golden;
        let case = format!("{content:?} {size:?} {bit_depth} bit, limit {limit}");
        let (previous, _) = pair(content, size, bit_depth, frame - 1, GOLDEN_SEED);
        let (reference, distorted) = pair(content, size, bit_depth, frame, GOLDEN_SEED);
        let params = VifParams { enhancement_gain_limit: limit, ..VifParams::default() };
        for isa in every_isa() {
            let scores = vif(isa, &reference.view(), &distorted.view(), &params, &mut vif_scratch)
                .expect("one shape");
            let scales = scores.scales.map(|scale| (scale.num, scale.den, scale.score));
            assert_eq!(scales, golden.scales, "{case}, {isa}");
            let sad = motion_sad(isa, &previous.view(), &reference.view(), &mut motion_scratch)
                .expect("one shape");
            let motion = motion_score(sad, size.0, size.1, &MotionParams::default());
            assert_eq!(motion, golden.motion, "{case}, {isa}");
            compared += 1;
        }
    }
    assert_eq!(compared, GOLDEN.len() * every_isa().len());
    assert!(compared > 0);
}

#[rustfmt::skip]
const GOLDEN: &[Golden] = &[
    Golden { content: Content::Texture, size: (64, 48), bit_depth: 8, frame: 1, limit: 100.0, scales: [
        (6294.89697265625, 23056.7890625, 0.2730170786380768),
        (3180.4169921875, 5100.8466796875, 0.6235076785087585),
        (822.0751953125, 1215.373046875, 0.676397442817688),
        (218.3583984375, 292.8818359375, 0.7455511689186096),
    ], motion: 9.709988911946615 },
    Golden { content: Content::Texture, size: (64, 48), bit_depth: 10, frame: 1, limit: 100.0, scales: [
        (6299.12451171875, 23055.796875, 0.27321216464042664),
        (3181.08740234375, 5100.5390625, 0.6236767172813416),
        (822.33447265625, 1215.34423828125, 0.6766268014907837),
        (218.3916015625, 292.9013671875, 0.7456148266792297),
    ], motion: 9.713389078776041 },
    Golden { content: Content::Texture, size: (33, 35), bit_depth: 8, frame: 1, limit: 100.0, scales: [
        (2615.041015625, 8544.986328125, 0.3060322105884552),
        (1078.91015625, 1741.05078125, 0.6196891069412231),
        (246.4384765625, 367.9228515625, 0.6698101758956909),
        (53.33349609375, 77.61572265625, 0.6871480941772461),
    ], motion: 10.512591314935065 },
    Golden { content: Content::Noise, size: (33, 35), bit_depth: 8, frame: 1, limit: 100.0, scales: [
        (10.41357421875, 13205.3154296875, 0.000788589590229094),
        (44.2900390625, 1501.80224609375, 0.029491258785128593),
        (27.4287109375, 269.21923828125, 0.1018824353814125),
        (8.9873046875, 56.47802734375, 0.15912921726703644),
    ], motion: 25.158793290043292 },
    Golden { content: Content::Texture, size: (33, 35), bit_depth: 10, frame: 1, limit: 100.0, scales: [
        (2615.91943359375, 8545.5234375, 0.3061157763004303),
        (1079.50390625, 1741.2783203125, 0.6199491024017334),
        (246.61572265625, 367.9111328125, 0.67031329870224),
        (53.3779296875, 77.5576171875, 0.6882358193397522),
    ], motion: 10.514921536796537 },
    Golden { content: Content::Noise, size: (33, 35), bit_depth: 10, frame: 1, limit: 100.0, scales: [
        (16.5986328125, 13145.6484375, 0.0012626713141798973),
        (20.599609375, 1502.10986328125, 0.013713783584535122),
        (6.60205078125, 277.7275390625, 0.023771682754158974),
        (0.70849609375, 58.69287109375, 0.012071246281266212),
    ], motion: 24.147487148268397 },
    Golden { content: Content::Texture, size: (33, 35), bit_depth: 12, frame: 1, limit: 100.0, scales: [
        (2617.39306640625, 8545.6904296875, 0.3062822222709656),
        (1080.0078125, 1741.30126953125, 0.6202303171157837),
        (246.69140625, 367.87353515625, 0.6705875396728516),
        (53.28076171875, 77.57568359375, 0.6868229508399963),
    ], motion: 10.511955492424242 },
    Golden { content: Content::Noise, size: (33, 35), bit_depth: 12, frame: 1, limit: 100.0, scales: [
        (14.109375, 13264.5634765625, 0.0010636893566697836),
        (29.12890625, 1556.9462890625, 0.01870899833738804),
        (18.66943359375, 271.7373046875, 0.06870397925376892),
        (8.24560546875, 53.0732421875, 0.15536275506019592),
    ], motion: 24.372328192640694 },
    Golden { content: Content::Texture, size: (33, 35), bit_depth: 16, frame: 1, limit: 100.0, scales: [
        (2617.39306640625, 8545.6904296875, 0.3062822222709656),
        (1080.0078125, 1741.30126953125, 0.6202303171157837),
        (246.69140625, 367.87353515625, 0.6705875396728516),
        (53.28076171875, 77.57568359375, 0.6868229508399963),
    ], motion: 10.511955492424242 },
    Golden { content: Content::Noise, size: (33, 35), bit_depth: 16, frame: 1, limit: 100.0, scales: [
        (6.39990234375, 13168.107421875, 0.00048601534217596054),
        (6.94970703125, 1576.05078125, 0.004409570712596178),
        (2.267578125, 297.59765625, 0.00761961005628109),
        (2.33056640625, 56.81494140625, 0.04102030768990517),
    ], motion: 24.557538555194807 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 8, frame: 1, limit: 100.0, scales: [
        (25153.9609375, 94470.1640625, 0.26626354455947876),
        (12389.5947265625, 20580.54296875, 0.6020052433013916),
        (3257.47802734375, 4952.337890625, 0.6577656865119934),
        (858.9990234375, 1198.54638671875, 0.7167006731033325),
    ], motion: 9.3996936935587 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 8, frame: 1, limit: 1.0, scales: [
        (25131.533203125, 94470.1640625, 0.2660261392593384),
        (12242.7255859375, 20580.54296875, 0.5948689579963684),
        (3218.36181640625, 4952.337890625, 0.6498671770095825),
        (846.859375, 1198.54638671875, 0.7065720558166504),
    ], motion: 9.3996936935587 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 10, frame: 1, limit: 100.0, scales: [
        (25172.703125, 94473.7421875, 0.2664518356323242),
        (12385.673828125, 20581.423828125, 0.6017889976501465),
        (3256.87158203125, 4952.18310546875, 0.6576638221740723),
        (859.115234375, 1198.69287109375, 0.7167100310325623),
    ], motion: 9.398510236853673 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 10, frame: 1, limit: 1.0, scales: [
        (25150.27734375, 94473.7421875, 0.2662144601345062),
        (12239.29296875, 20581.423828125, 0.594676673412323),
        (3217.7998046875, 4952.18310546875, 0.6497740149497986),
        (847.0078125, 1198.69287109375, 0.7066095471382141),
    ], motion: 9.398510236853673 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 12, frame: 1, limit: 100.0, scales: [
        (25172.15234375, 94473.9140625, 0.2664455473423004),
        (12387.6337890625, 20581.41015625, 0.6018846035003662),
        (3257.68212890625, 4952.24658203125, 0.6578190326690674),
        (859.21630859375, 1198.62158203125, 0.7168369889259338),
    ], motion: 9.398083180991769 },
    Golden { content: Content::Texture, size: (129, 97), bit_depth: 16, frame: 1, limit: 100.0, scales: [
        (25172.15234375, 94473.9140625, 0.2664455473423004),
        (12387.6337890625, 20581.41015625, 0.6018846035003662),
        (3257.68212890625, 4952.24658203125, 0.6578190326690674),
        (859.21630859375, 1198.62158203125, 0.7168369889259338),
    ], motion: 9.398083180991769 },
];
