//! CIEDE2000 by its formula, a pixel after the other, with the functions of the C library, as libvmaf
//! calls them. `f32` stands where libvmaf keeps a `float`.

use std::f64::consts::PI;

use super::synthetic::Plane;
use kernels::ciede::ChromaLayout;

/// Samples to which libvmaf aligns the rows of a plane.
const ALIGNMENT: usize = 32;

fn lab([y, u, v]: [u16; 3], bit_depth: u32) -> [f32; 3] {
    let scale = f64::from(1 << (bit_depth - 8));
    let y = (f64::from(y) - 16.0 * scale) * (1.0 / (219.0 * scale));
    let [u, v] = [u, v].map(|c| (f64::from(c) - 128.0 * scale) * (1.0 / (224.0 * scale)));
    let rgb = [y + 1.28033 * v, y - 0.21482 * u - 0.38059 * v, y + 2.12798 * u];
    let [r, g, b] = rgb.map(|c| {
        if c > 10.0 / 255.0 { ((c + 0.055) * (1.0 / 1.055)).powf(2.4) } else { c * (1.0 / 12.92) }
    });
    let x = r * 0.4124564390896921 + g * 0.357576077643909 + b * 0.18043748326639894;
    let y = r * 0.21267285140562248 + g * 0.715152155287818 + b * 0.07217499330655958;
    let z = r * 0.019333895582329317 + g * 0.119192025881303 + b * 0.9503040785363677;
    let [x, y, z] = [x * (1.0 / 0.95047), y, z * (1.0 / 1.08883)].map(|c| {
        let root = if c > 216.0 / 24389.0 {
            c.powf(1.0 / 3.0)
        } else {
            (24389.0 / 27.0 * c + 16.0) * (1.0 / 116.0)
        };
        f64::from(root as f32)
    });
    [(116.0 * y - 16.0) as f32, (500.0 * (x - y)) as f32, (200.0 * (y - z)) as f32]
}

fn chroma(a: f32, b: f32) -> f32 {
    let (a, b) = (f64::from(a), f64::from(b));
    (a * a + b * b).sqrt() as f32
}

fn hue(a: f32, b: f32) -> f32 {
    if a == 0.0 && b == 0.0 {
        return 0.0;
    }
    let angle = f64::from(b).atan2(f64::from(a)) as f32;
    if angle < 0.0 { (f64::from(angle) + 2.0 * PI) as f32 } else { angle }
}

fn difference(reference: [f32; 3], distorted: [f32; 3]) -> f32 {
    let ([l1, a1, b1], [l2, a2, b2]) = (reference, distorted);
    let mean_l = (l1 + l2) / 2.0;
    let (c1, c2) = (chroma(a1, b1), chroma(a2, b2));
    let mean_c = f64::from((c1 + c2) / 2.0);
    let power = mean_c.powf(7.0);
    let stretch = 1.0 - (power / (power + 25.0_f64.powf(7.0))).sqrt();
    let [a1, a2] = [a1, a2].map(|a| (f64::from(a) + f64::from(a / 2.0) * stretch) as f32);
    let (long1, long2) = (chroma(a1, b1), chroma(a2, b2));
    let mean_long = (long1 + long2) / 2.0;
    let (h1, h2) = (hue(a1, b1), hue(a2, b2));
    let apart = f64::from((h1 - h2).abs()) > PI;
    let turn = |hue: f32, by: f64| (f64::from(hue) + by) as f32;
    let step = match h2 - h1 {
        _ if c1 == 0.0 || c2 == 0.0 => 0.0,
        step if !apart => step,
        step if h2 <= h1 => turn(step, 2.0 * PI),
        step => turn(step, -2.0 * PI),
    };
    let mean_hue = f64::from(h1 + h2) + if apart { 2.0 * PI } else { 0.0 };
    let mean_hue = f64::from((mean_hue / 2.0) as f32);
    let from_middle = f64::from(mean_l - 50.0);
    let square = from_middle * from_middle;
    let s_l = (1.0 + 0.015 * square / (20.0 + square).sqrt()) as f32;
    let s_c = (1.0 + 0.045 * f64::from(mean_long)) as f32;
    let t = 1.0 - 0.17 * (mean_hue - PI / 6.0).cos()
        + 0.24 * (2.0 * mean_hue).cos()
        + 0.32 * (3.0 * mean_hue + PI / 30.0).cos()
        - 0.20 * (4.0 * mean_hue - 7.0 * PI / 20.0).cos();
    let s_h = (1.0 + 0.015 * f64::from(mean_long) * f64::from(t as f32)) as f32;
    let degrees = (mean_hue * (180.0 / PI)) as f32;
    let steps = ((f64::from(degrees) - 275.0) * (1.0 / 25.0)) as f32;
    let turned = (60.0 * (-f64::from(steps * steps)).exp()) as f32;
    let angle = (f64::from(turned) * (PI / 180.0)) as f32;
    let power = mean_long.powf(7.0);
    let share = power / (power + 6_103_515_625.0_f32);
    let rotation = (-2.0 * f64::from(share).sqrt() * f64::from(angle).sin()) as f32;
    let hue_part = (2.0 * f64::from(long1 * long2).sqrt() * (f64::from(step) / 2.0).sin()) as f32;
    let lightness = (l2 - l1) / (0.65 * s_l);
    let chroma = (long2 - long1) / s_c;
    let hue = hue_part / (4.0 * s_h);
    let squares = [lightness, chroma, hue].map(|part| f64::from(part) * f64::from(part));
    (squares[0] + squares[1] + squares[2] + f64::from(rotation * chroma * hue)).sqrt() as f32
}

/// The chroma sample that belongs to a pixel; none where libvmaf finds zeros.
fn place(layout: ChromaLayout, chroma: &Plane, width: usize, [x, y]: [usize; 2]) -> u16 {
    let [x, y] = match layout {
        ChromaLayout::Full => [x, y],
        ChromaLayout::Quarter => [x / 2, y / 2],
        ChromaLayout::HalfWidth => {
            let row = (width / 2).div_ceil(ALIGNMENT) * ALIGNMENT;
            if row == 0 || x % row >= width / 2 || y / 2 + x / row >= chroma.height {
                return 0;
            }
            [x % row, y / 2 + x / row]
        }
    };
    chroma.samples[y * chroma.stride + x]
}

/// The sum over all pixels, row after row.
pub fn sum(layout: ChromaLayout, reference: &[Plane; 3], distorted: &[Plane; 3]) -> f64 {
    let (width, height) = (reference[0].width, reference[0].height);
    let mut sum = 0.0;
    for y in 0..height {
        for x in 0..width {
            let [one, other] = [reference, distorted].map(|planes| {
                let luma = planes[0].samples[y * planes[0].stride + x];
                let [u, v] = [1, 2].map(|of: usize| place(layout, &planes[of], width, [x, y]));
                lab([luma, u, v], planes[0].bit_depth)
            });
            sum += f64::from(difference(one, other));
        }
    }
    sum
}
