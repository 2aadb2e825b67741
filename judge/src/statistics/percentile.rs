//! Percentiles of exact values.

/// The percentile, `0.0..=100.0`, by linear interpolation between the two nearest values, as numpy's
/// `percentile` has it. None without values.
pub fn percentile(values: &[f64], percent: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().checked_sub(1)?;
    let place = last as f64 * (percent / 100.0).clamp(0.0, 1.0);
    let below = sorted.get(place.floor() as usize)?;
    let above = sorted.get(place.ceil() as usize)?;
    Some(below + (above - below) * place.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_two_values_lies_between_them() {
        assert_eq!(percentile(&[3.0, 1.0], 50.0), Some(2.0));
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 100.0), Some(3.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}
