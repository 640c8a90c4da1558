//! The demo pair as planes of samples: real footage, for goldens.

/// Luma's size in the files, which are 4:2:0 at 8 bits.
pub(crate) const WIDTH: u32 = 176;
pub(crate) const HEIGHT: u32 = 144;

pub(crate) const REFERENCE: &[u8] = include_bytes!("../../../demo/carphone_pristine.y4m");
pub(crate) const DISTORTED: &[u8] = include_bytes!("../../../demo/carphone_distorted.y4m");

/// By frame, then by plane: the first frames of a file, each side `times` as long, at this depth.
///
/// # Panics
/// When the file has fewer frames.
pub(crate) fn planes(
    file: &[u8],
    frame_count: u32,
    times: u32,
    bit_depth: u8,
) -> Vec<Vec<Vec<u16>>> {
    let mut rest = after_line(file, b"YUV4MPEG2 W176 H144 ");
    let sizes = [(WIDTH, HEIGHT), (WIDTH / 2, HEIGHT / 2), (WIDTH / 2, HEIGHT / 2)];
    let mut frame = || {
        rest = after_line(rest, b"FRAME");
        let planes = sizes.map(|(width, height)| {
            let (plane, after) = rest.split_at((width * height) as usize);
            rest = after;
            enlarged(plane, (width as usize, height as usize), times as usize, bit_depth)
        });
        planes.to_vec()
    };
    (0..frame_count).map(|_| frame()).collect()
}

/// What follows the line that begins so.
fn after_line<'a>(bytes: &'a [u8], start: &[u8]) -> &'a [u8] {
    assert!(bytes.starts_with(start), "the demo pair is another, or has no more frames");
    let end = bytes.iter().position(|byte| *byte == b'\n').expect("lines end");
    &bytes[end + 1..]
}

/// Each sample at the first place of a cell of `times` by `times`, those between it and the next ones
/// by rule of three, cut to the depth. The last row and column go on as they are.
fn enlarged(
    plane: &[u8],
    (width, height): (usize, usize),
    times: usize,
    bit_depth: u8,
) -> Vec<u16> {
    let sample = |x: usize, y: usize| {
        usize::from(plane[y.min(height - 1) * width + x.min(width - 1)]) << (bit_depth - 8)
    };
    let place = |x: usize, y: usize| {
        let (column, right, row, down) = (x / times, x % times, y / times, y % times);
        let along = |row| sample(column, row) * (times - right) + sample(column + 1, row) * right;
        (along(row) * (times - down) + along(row + 1) * down) / (times * times)
    };
    let rows = 0..height * times;
    rows.flat_map(|y| (0..width * times).map(move |x| place(x, y) as u16)).collect()
}
