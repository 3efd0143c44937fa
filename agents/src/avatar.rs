//! A picture for each agent, drawn from its name: a symmetric pattern of squares, as code hosts do it for new accounts.

use sha2::{Digest, Sha256};

const CELLS: usize = 5;
const CELL_PIXELS: usize = 16;
const SIZE: usize = CELLS * CELL_PIXELS;
const BACKGROUND: [u8; 3] = [0xf4, 0xf4, 0xf6];

/// The picture as PNG, 80 by 80 pixels; the same for the same name.
pub(crate) fn png(name: &str) -> Vec<u8> {
    let digest = Sha256::digest(name.as_bytes());
    let color = [digest[0] / 2 + 32, digest[1] / 2 + 32, digest[2] / 2 + 32];
    let filled = |column: usize, row: usize| digest[3 + column.min(CELLS - 1 - column) * CELLS + row] % 2 == 0;
    let pixels: Vec<u8> = (0..SIZE * SIZE)
        .flat_map(|index| {
            let (column, row) = (index % SIZE / CELL_PIXELS, index / SIZE / CELL_PIXELS);
            if filled(column, row) { color } else { BACKGROUND }
        })
        .collect();
    encode(&pixels)
}

fn encode(pixels: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    let side = u32::try_from(SIZE).unwrap_or(u32::MAX);
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(pixels));
    written.expect("a picture of fixed size can be written to memory");
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_its_own_picture_and_keeps_it() {
        assert_eq!(png("alice"), png("alice"));
        assert_ne!(png("alice"), png("bob"));
        assert!(png("alice").starts_with(b"\x89PNG"));
    }
}
