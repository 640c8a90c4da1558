//! Pictures as PNG images: luma and chroma to RGB by the matrix and range that the video declares,
//! or by what players assume where it declares none, which is then said. Large pictures are made
//! smaller; no image has more than [`SIDE_MAX`] pixels a side.

use engine::{Picture, Plane, PlaneData};
use media::{Declared, SampleRange};

/// The longest side of an image, in pixels.
pub(crate) const SIDE_MAX: u32 = 1_280;

/// From this height on, players take undeclared colour for that of high definition.
const HIGH_DEFINITION_HEIGHT: u32 = 720;

/// How samples become colours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Colours {
    /// The weights of red and blue in luma.
    kr: f64,
    kb: f64,
    range: SampleRange,
}

impl Colours {
    /// By what a video declares, and what had to be assumed, in words.
    pub fn of(declared: &Declared, height: u32) -> (Self, Vec<String>) {
        let mut assumed = Vec::new();
        let range = declared.range.unwrap_or_else(|| {
            assumed.push("no range is declared: shown as limited (television) range".to_owned());
            SampleRange::Limited
        });
        let by_size = if height >= HIGH_DEFINITION_HEIGHT { "bt709" } else { "smpte170m" };
        let named = declared.matrix.as_deref();
        let (kr, kb) = named.and_then(weights).unwrap_or_else(|| {
            let what = named.map_or("no colour matrix is declared".to_owned(), |name| {
                format!("the colour matrix {name} is not known here")
            });
            assumed.push(format!("{what}: shown as {by_size}, by the picture's height"));
            weights(by_size).expect("a known name")
        });
        if let Some(transfer @ ("smpte2084" | "arib-std-b67")) = declared.transfer.as_deref() {
            assumed.push(format!(
                "the video is HDR ({transfer}): its code values are shown without tone mapping, so \
                 that images look flat"
            ));
        }
        (Self { kr, kb, range }, assumed)
    }

    /// Black and the span to white in luma, and the span of chroma, of a full scale of 1.
    fn scale(self, bit_depth: u8) -> (f64, f64, f64) {
        match self.range {
            SampleRange::Full => (0.0, 1.0, 1.0),
            SampleRange::Limited => {
                // 16, 219 and 224 at 8 bits, and as many bits more above.
                let full = f64::from((1_u32 << bit_depth) - 1);
                let step = f64::from(1_u32 << (bit_depth - 8));
                (16.0 * step / full, 219.0 * step / full, 224.0 * step / full)
            }
        }
    }
}

fn weights(matrix: &str) -> Option<(f64, f64)> {
    Some(match matrix {
        "bt709" => (0.2126, 0.0722),
        "smpte170m" | "bt470bg" => (0.299, 0.114),
        "fcc" => (0.30, 0.11),
        "smpte240m" => (0.212, 0.087),
        "bt2020nc" | "bt2020c" => (0.2627, 0.0593),
        _ => return None,
    })
}

/// The size of an image of a picture, its longer side at most `side_max`.
fn image_size(width: u32, height: u32, side_max: u32) -> (u32, u32) {
    let longer = width.max(height);
    let side_max = side_max.clamp(1, SIDE_MAX);
    if longer <= side_max {
        return (width, height);
    }
    let scaled = |side: u32| {
        let side = u64::from(side) * u64::from(side_max) / u64::from(longer);
        u32::try_from(side).unwrap_or(1).max(1)
    };
    (scaled(width), scaled(height))
}

/// A picture in colour, as the bytes of a PNG file.
pub(crate) fn colour_png(
    picture: &Picture,
    colours: Colours,
    side_max: u32,
) -> Result<Vec<u8>, png::EncodingError> {
    let spec = picture.spec();
    let (width, height) = image_size(spec.width, spec.height, side_max);
    let depth = spec.format.bit_depth;
    let planes: Vec<Vec<f64>> =
        picture.planes().iter().map(|plane| resample(plane, depth, width, height)).collect();
    let (black, luma_span, chroma_span) = colours.scale(depth);
    // The middle of the code values, which stands for no colour.
    let middle = f64::from(1_u32 << (depth - 1)) / f64::from((1_u32 << depth) - 1);
    let (kr, kb) = (colours.kr, colours.kb);
    let kg = 1.0 - kr - kb;
    let mut data = Vec::with_capacity(planes[0].len() * 3);
    for at in 0..planes[0].len() {
        let y = (planes[0][at] - black) / luma_span;
        let chroma = |plane: usize| {
            planes.get(plane).map_or(0.0, |samples| (samples[at] - middle) / chroma_span)
        };
        let (cb, cr) = (chroma(1), chroma(2));
        let red = y + 2.0 * (1.0 - kr) * cr;
        let blue = y + 2.0 * (1.0 - kb) * cb;
        let green = (y - kr * red - kb * blue) / kg;
        data.extend([red, green, blue].map(byte));
    }
    encode(width, height, png::ColorType::Rgb, &data)
}

/// How much two pictures differ in luma, brighter where more, `gain` times as bright as it is.
///
/// # Panics
/// When the pictures are of different sizes or depths.
pub(crate) fn difference_png(
    reference: &Picture,
    distorted: &Picture,
    gain: f64,
    side_max: u32,
) -> Result<Vec<u8>, png::EncodingError> {
    let (spec, other) = (reference.spec(), distorted.spec());
    assert_eq!((spec.width, spec.height, spec.format), (other.width, other.height, other.format));
    let (width, height) = image_size(spec.width, spec.height, side_max);
    let (a, b) = (&reference.planes()[0], &distorted.planes()[0]);
    let differences: Vec<u32> = match (a.data(), b.data()) {
        (PlaneData::U8(x), PlaneData::U8(y)) => absolute(x, a, y, b),
        (PlaneData::U16(x), PlaneData::U16(y)) => absolute(x, a, y, b),
        _ => unreachable!("the same depth has the same type of samples"),
    };
    let scale = full_scale(spec.format.bit_depth);
    let (w, h) = (spec.width as usize, spec.height as usize);
    let data: Vec<u8> = average(&differences, (w, h, w), width, height)
        .map(|value| byte(value / scale * gain))
        .collect();
    encode(width, height, png::ColorType::Grayscale, &data)
}

/// Absolute differences without padding between rows.
fn absolute<T: Copy + Into<u32>>(x: &[T], a: &Plane, y: &[T], b: &Plane) -> Vec<u32> {
    let width = a.width() as usize;
    let rows = x.chunks(a.stride_samples()).zip(y.chunks(b.stride_samples()));
    rows.flat_map(|(x, y)| x[..width].iter().zip(&y[..width]))
        .map(|(x, y)| (*x).into().abs_diff((*y).into()))
        .collect()
}

/// A plane at the size of an image, as shares of the full scale.
fn resample(plane: &Plane, bit_depth: u8, width: u32, height: u32) -> Vec<f64> {
    let shape = (plane.width() as usize, plane.height() as usize, plane.stride_samples());
    let scale = full_scale(bit_depth);
    match plane.data() {
        PlaneData::U8(samples) => {
            average(samples, shape, width, height).map(|v| v / scale).collect()
        }
        PlaneData::U16(samples) => {
            average(samples, shape, width, height).map(|v| v / scale).collect()
        }
    }
}

fn full_scale(bit_depth: u8) -> f64 {
    f64::from((1_u32 << bit_depth) - 1)
}

/// The average of the box of samples under each pixel; where pixels are smaller than samples, the
/// sample under it.
fn average<T: Copy + Into<u32>>(
    samples: &[T],
    (plane_width, plane_height, stride): (usize, usize, usize),
    width: u32,
    height: u32,
) -> impl Iterator<Item = f64> + '_ {
    let (width, height) = (width as usize, height as usize);
    let span = move |at: usize, pixels: usize, samples: usize| {
        let start = at * samples / pixels;
        start..((at + 1) * samples / pixels).max(start + 1)
    };
    (0..width * height).map(move |at| {
        let columns = span(at % width, width, plane_width);
        let rows = span(at / width, height, plane_height);
        let count = columns.len() * rows.len();
        let sum: u64 = rows
            .flat_map(|row| &samples[row * stride + columns.start..row * stride + columns.end])
            .map(|sample| u64::from((*sample).into()))
            .sum();
        sum as f64 / count as f64
    })
}

/// A share of the full scale as a byte.
fn byte(share: f64) -> u8 {
    (share.clamp(0.0, 1.0) * 255.0).round() as u8
}

fn encode(
    width: u32,
    height: u32,
    colour: png::ColorType,
    data: &[u8],
) -> Result<Vec<u8>, png::EncodingError> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(colour);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.write_header()?.write_image_data(data)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::{PictureSpec, PlanesWanted};
    use types::{ChromaSubsampling, PixelFormat};

    /// A picture of one colour, 4:2:0.
    fn flat(width: u32, height: u32, bit_depth: u8, yuv: [u16; 3]) -> Picture {
        let format = PixelFormat { chroma: ChromaSubsampling::C420, bit_depth };
        let spec = PictureSpec { width, height, format, planes: PlanesWanted::All };
        let planes = spec.plane_sizes().zip(yuv).map(|((w, h), value)| {
            let count = (w * h) as usize;
            let data = if bit_depth == 8 {
                PlaneData::U8(vec![u8::try_from(value).expect("8 bits"); count])
            } else {
                PlaneData::U16(vec![value; count])
            };
            (data, w as usize)
        });
        Picture::from_planes(spec, planes.collect()).expect("it fits")
    }

    fn decode(file: &[u8]) -> (u32, u32, Vec<u8>) {
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().expect("a PNG");
        let mut data = vec![0; reader.output_buffer_size().expect("small")];
        let info = reader.next_frame(&mut data).expect("an image");
        data.truncate(info.buffer_size());
        (info.width, info.height, data)
    }

    fn declared(matrix: &str, range: SampleRange) -> Declared {
        Declared { matrix: Some(matrix.to_owned()), range: Some(range), ..Declared::default() }
    }

    fn colour_of(picture: &Picture, declared: &Declared) -> [u8; 3] {
        let (colours, assumed) = Colours::of(declared, picture.spec().height);
        assert!(assumed.is_empty(), "{assumed:?}");
        let (_, _, data) = decode(&colour_png(picture, colours, 64).expect("encoded"));
        [data[0], data[1], data[2]]
    }

    #[test]
    fn known_colours_come_out_by_matrix_range_and_depth() {
        use SampleRange::{Full, Limited};
        let check = |depth, yuv, matrix, range, rgb: [u8; 3]| {
            let found = colour_of(&flat(16, 16, depth, yuv), &declared(matrix, range));
            let near = found.iter().zip(rgb).all(|(a, b)| a.abs_diff(b) <= 1);
            assert!(near, "{found:?} for {rgb:?} of {matrix}");
        };
        check(8, [16, 128, 128], "bt709", Limited, [0, 0, 0]);
        check(8, [235, 128, 128], "bt709", Limited, [255, 255, 255]);
        check(8, [0, 128, 128], "bt709", Full, [0, 0, 0]);
        check(8, [255, 128, 128], "smpte170m", Full, [255, 255, 255]);
        // Pure red of the two matrices, and at ten bits.
        check(8, [63, 102, 240], "bt709", Limited, [255, 0, 0]);
        check(8, [81, 90, 240], "smpte170m", Limited, [255, 0, 0]);
        check(10, [252, 410, 960], "bt709", Limited, [255, 0, 0]);
        check(10, [940, 512, 512], "bt2020nc", Limited, [255, 255, 255]);
    }

    #[test]
    fn what_is_assumed_is_said() {
        let (small, said) = Colours::of(&Declared::default(), 272);
        assert_eq!((small.kr, said.len()), (0.299, 2));
        let (large, _) = Colours::of(&Declared::default(), 1_080);
        assert_eq!(large.kr, 0.2126);
        let hdr = Declared {
            transfer: Some("smpte2084".to_owned()),
            ..declared("bt2020nc", SampleRange::Limited)
        };
        let (_, said) = Colours::of(&hdr, 2_160);
        assert!(said[0].contains("HDR"), "{said:?}");
    }

    #[test]
    fn large_pictures_become_small_images_of_the_same_shape() {
        let picture = flat(2_000, 500, 8, [100, 128, 128]);
        let (colours, _) = Colours::of(&declared("bt709", SampleRange::Full), 500);
        let (width, height, data) = decode(&colour_png(&picture, colours, 200).expect("encoded"));
        assert_eq!((width, height, data.len()), (200, 50, 200 * 50 * 3));
        assert_eq!(image_size(5, 3, 200), (5, 3));
        assert_eq!(image_size(30_000, 2, 9_999), (SIDE_MAX, 1));
    }

    #[test]
    fn a_difference_is_as_bright_as_it_is_large() {
        let (a, b) = (flat(32, 32, 8, [100, 128, 128]), flat(32, 32, 8, [110, 90, 200]));
        let (_, _, data) = decode(&difference_png(&a, &b, 4.0, 16).expect("encoded"));
        assert!(data.iter().all(|pixel| *pixel == 40), "{:?}", &data[..4]);
        let (_, _, same) = decode(&difference_png(&a, &a, 4.0, 16).expect("encoded"));
        assert!(same.iter().all(|pixel| *pixel == 0));
    }
}
