//! The report's plots, as SVG text that stands in the page.

use super::facts::{Band, Line};
use plotters::coord::Shift;
use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingArea, IntoDrawingArea, IntoFont, LineSeries, PathElement, Polygon,
    RGBColor, SVGBackend, TRANSPARENT,
};
use plotters::style::ShapeStyle;

const SIZE: (u32, u32) = (760, 240);
const GRID: RGBColor = RGBColor(229, 231, 235);
const AXIS: RGBColor = RGBColor(156, 163, 175);
const INK: RGBColor = RGBColor(75, 85, 99);
/// The version that serves today.
pub(super) const STABLE: RGBColor = RGBColor(37, 99, 235);
/// The version under test.
pub(super) const CANARY: RGBColor = RGBColor(217, 119, 6);
/// What ends a release.
pub(super) const LIMIT: RGBColor = RGBColor(220, 38, 38);
/// What is neither version's.
pub(super) const OTHER: RGBColor = RGBColor(124, 58, 237);

/// How the y axis is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scale {
    /// In percent, from 0.
    Percent,
    /// In seconds, written as milliseconds, from 0.
    Latency,
    /// The logarithm to base ten of the values.
    Log,
    /// Scores up to 100.
    Score,
}

/// One plot over time.
pub(super) struct Plot<'a> {
    /// How long the rollout took, in seconds.
    pub(super) length: f64,
    pub(super) scale: Scale,
    pub(super) lines: Vec<(RGBColor, &'a Line)>,
    /// Seconds, lower and upper bound.
    pub(super) bands: Vec<(RGBColor, &'a Band)>,
    /// Whether a value holds until the next one comes.
    pub(super) stepped: bool,
    /// A line across.
    pub(super) limit: Option<f64>,
}

impl Plot<'_> {
    /// Whether there is nothing to see.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.iter().all(|(_, line)| line.is_empty())
    }

    /// The plot as an `<svg>` element.
    ///
    /// # Errors
    /// When it cannot be drawn.
    pub(super) fn draw(&self) -> Result<String, String> {
        let mut svg = String::new();
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        self.draw_on(&root).map_err(|error| format!("a plot cannot be drawn: {error}"))?;
        root.present().map_err(|error| format!("a plot cannot be drawn: {error}"))?;
        drop(root);
        Ok(svg)
    }

    fn draw_on(
        &self,
        root: &DrawingArea<SVGBackend<'_>, Shift>,
    ) -> Result<(), Box<dyn std::error::Error + '_>> {
        let (unit, name) = time_unit(self.length);
        let (low, high) = self.range();
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let mut chart = ChartBuilder::on(root)
            .margin(10)
            .x_label_area_size(26)
            .y_label_area_size(64)
            .build_cartesian_2d(0.0..(self.length / unit).max(1e-6), low..high)
            .map_err(|error| told(&error))?;
        let font = ("sans-serif", 13).into_font().color(&INK);
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(GRID)
            .axis_style(AXIS)
            .label_style(font)
            .x_labels(8)
            .y_labels(5)
            .x_label_formatter(&|x| format!("{} {name}", (x * 100.0).round() / 100.0))
            .y_label_formatter(&|y| self.label(*y))
            .draw()
            .map_err(|error| told(&error))?;
        for (colour, band) in &self.bands {
            let clip = |value: f64| self.place(value).clamp(low, high);
            let up = band.iter().map(|(time, _, upper)| (time / unit, clip(*upper)));
            let down = band.iter().rev().map(|(time, lower, _)| (time / unit, clip(*lower)));
            let outline: Vec<(f64, f64)> = up.chain(down).collect();
            chart.draw_series([Polygon::new(outline, colour.mix(0.14))]).map_err(|error| told(&error))?;
        }
        if let Some(limit) = self.limit.map(|limit| self.place(limit)) {
            let across = vec![(0.0, limit), (self.length / unit, limit)];
            let style = ShapeStyle { color: LIMIT.to_rgba(), filled: false, stroke_width: 1 };
            chart.draw_series([PathElement::new(across, style)]).map_err(|error| told(&error))?;
        }
        for (colour, line) in &self.lines {
            let points: Vec<(f64, f64)> =
                self.points(line).iter().map(|(time, value)| (time / unit, *value)).collect();
            let last = points.last().copied();
            let series = LineSeries::new(points, colour.stroke_width(2));
            chart.draw_series(series).map_err(|error| told(&error))?;
            // A line of one point would not be seen.
            let dot = last.map(|point| Circle::new(point, 3, colour.filled()));
            chart.draw_series(dot).map_err(|error| told(&error))?;
        }
        Ok(())
    }

    /// Where the values lie on the axis; stepped lines get their corners, and go on to the end.
    fn points(&self, line: &Line) -> Line {
        let mut points: Line = Vec::with_capacity(2 * line.len());
        for (time, value) in line {
            let value = self.place(*value);
            if let Some((_, before)) = points.last().copied().filter(|_| self.stepped) {
                points.push((*time, before));
            }
            points.push((*time, value));
        }
        if let Some((time, value)) =
            points.last().copied().filter(|(time, _)| self.stepped && *time < self.length)
        {
            points.push((time.max(self.length), value));
        }
        points
    }

    fn place(&self, value: f64) -> f64 {
        match self.scale {
            // What is below a hundredth says nothing.
            Scale::Log => value.max(0.01).log10(),
            Scale::Percent | Scale::Latency | Scale::Score => value,
        }
    }

    fn range(&self) -> (f64, f64) {
        let values = self.lines.iter().flat_map(|(_, line)| line.iter().map(|(_, value)| self.place(*value)));
        let values = values.chain(self.limit.map(|limit| self.place(limit)));
        let (least, most) =
            values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
        match self.scale {
            Scale::Percent => (0.0, (self.with_bounds(most) * 1.15).clamp(1.0, 105.0)),
            Scale::Latency => (0.0, (most * 1.2).max(0.001)),
            Scale::Log => (least.min(-1.0).floor(), (most + 0.5).ceil()),
            Scale::Score => ((least.min(95.0) - 5.0).max(0.0), 102.0),
        }
    }

    /// Room for the bounds as they are at the end, unless that makes the lines too flat to read.
    fn with_bounds(&self, most: f64) -> f64 {
        let ends = self.bands.iter().filter_map(|(_, band)| band.last().map(|(_, _, upper)| *upper));
        most.max(ends.fold(0.0, f64::max).min((4.0 * most).max(10.0)))
    }

    fn label(&self, y: f64) -> String {
        match self.scale {
            Scale::Percent => format!("{} %", (y * 100.0).round() / 100.0),
            Scale::Latency if y >= 1.0 => format!("{} s", (y * 100.0).round() / 100.0),
            Scale::Latency => format!("{} ms", (y * 1e5).round() / 100.0),
            Scale::Log if (y - y.round()).abs() > 1e-9 => String::new(),
            Scale::Log if (-2.0..4.0).contains(&y) => format!("{}", 10.0_f64.powf(y)),
            Scale::Log => format!("1e{y}"),
            Scale::Score => format!("{y:.0}"),
        }
    }
}

/// The time axis's unit in seconds, and its name.
fn time_unit(length: f64) -> (f64, &'static str) {
    match length {
        length if length > 4.0 * 3600.0 => (3600.0, "h"),
        length if length > 240.0 => (60.0, "min"),
        _ => (1.0, "s"),
    }
}
