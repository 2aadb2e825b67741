//! Numbers that look random and are the same in every run.

/// splitmix64 (Steele, Lea and Flood 2014): the `n`-th number of the stream that `seed` names.
pub fn number(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `n`-th number as a fraction, `0.0..1.0`.
pub fn fraction(seed: u64, n: u64) -> f64 {
    (number(seed, n) >> 11) as f64 / (1_u64 << 53) as f64
}

/// A standard normal value from two fractions (Box and Muller 1958).
pub fn normal(a: f64, b: f64) -> f64 {
    (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
}
