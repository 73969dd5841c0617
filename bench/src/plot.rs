//! The plots: how far each figure is from its goal, and how cost grows with work.

use crate::report::{Report, number};
use crate::row::{Goal, Row};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const WIDTH: u32 = 1_200;
const ROW_HEIGHT: u32 = 26;
/// Room for the names of the figures and, in it, for what was measured.
const NAMES: i32 = 690;
const VALUES: i32 = 210;
/// The axis ends here, whatever was measured: a goal missed by a factor of 8, and one met sixteen-fold.
const AXIS: (f64, f64) = (0.125, 16.0);
const MET: RGBColor = RGBColor(34, 139, 87);
const MISSED: RGBColor = RGBColor(200, 60, 48);
const INK: RGBColor = RGBColor(48, 52, 60);

/// Writes the plots of a report into a folder.
///
/// # Errors
/// When a file can't be written.
pub(crate) fn write(folder: &Path, report: &Report) -> Result<()> {
    goals(&folder.join("goals.svg"), report)?;
    match report.rows.iter().find(|row| row.points.len() > 1) {
        Some(row) => growth(&folder.join("growth.svg"), row),
        None => Ok(()),
    }
}

/// How many times better than its goal a row is: 1 is just met, less is missed.
fn headroom(row: &Row) -> Option<f64> {
    let yardstick = row.yardstick.as_ref().map(|y| y.value);
    let share = match row.goal? {
        Goal::RatioAtLeast(bound) => row.ratio? / bound,
        Goal::RatioAtMost(bound) => bound / row.ratio?,
        Goal::AtLeast(bound) => row.value / bound,
        Goal::AtMost(bound) => bound / row.value,
        Goal::AboveYardstick(bound) => bound / (row.value - yardstick?).max(f64::MIN_POSITIVE),
    };
    // Nothing at all against a bound of nothing at all is just met.
    Some(if share.is_nan() { 1.0 } else { share.clamp(AXIS.0, AXIS.1) })
}

fn goals(file: &Path, report: &Report) -> Result<()> {
    let rows: Vec<(&Row, f64)> = report.rows.iter().filter_map(|row| Some((row, headroom(row)?))).collect();
    let count = u32::try_from(rows.len())?;
    let root = SVGBackend::new(file, (WIDTH, ROW_HEIGHT * count + 96)).into_drawing_area();
    root.fill(&WHITE)?;
    let title = format!("Goals, commit {}: bars to the right of the line meet theirs", report.commit);
    let mut chart = ChartBuilder::on(&root)
        .caption(title, ("sans-serif", 18, &INK))
        .margin(12)
        .x_label_area_size(28)
        .y_label_area_size(NAMES)
        .build_cartesian_2d((AXIS.0..AXIS.1).log_scale().base(2.0), 0.0..f64::from(count))?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .axis_style(INK.mix(0.4))
        .label_style(("sans-serif", 12, &INK))
        .x_labels(8)
        .x_label_formatter(&|x| if *x < 1.0 { format!("1/{:.0}", 1.0 / x) } else { format!("{x:.0} ×") })
        .draw()?;
    for (place, (row, share)) in rows.iter().enumerate() {
        let top = f64::from(count) - f64::from(u32::try_from(place)?);
        let colour = if row.met == Some(true) { MET } else { MISSED };
        chart.draw_series([Rectangle::new([(1.0, top - 0.22), (*share, top - 0.78)], colour.mix(0.85).filled())])?;
        let measured = match row.ratio {
            Some(ratio) => format!("{} (ratio {})", measured(row), number(ratio)),
            None => measured(row),
        };
        let style = |size| ("sans-serif", size).into_font().color(&INK);
        let middle = chart.backend_coord(&(1.0, top - 0.5)).1;
        let right = Pos::new(HPos::Right, VPos::Center);
        root.draw_text(&row.figure, &style(13).pos(right), (NAMES - VALUES, middle))?;
        root.draw_text(&measured, &style(11).pos(right), (NAMES + 4, middle))?;
    }
    chart.draw_series([PathElement::new([(1.0, 0.0), (1.0, f64::from(count))], INK.stroke_width(2))])?;
    root.present()?;
    Ok(())
}

fn measured(row: &Row) -> String {
    format!("{} {}", number(row.value), row.unit)
}

/// Wall time against work, both axes logarithmic, beside the straight line of the first point.
fn growth(file: &Path, row: &Row) -> Result<()> {
    let (Some(first), Some(last)) = (row.points.first().copied(), row.points.last().copied()) else { return Ok(()) };
    let root = SVGBackend::new(file, (640, 400)).into_drawing_area();
    root.fill(&WHITE)?;
    let linear = |x: f64| first.1 * x / first.0;
    let top = last.1.max(linear(last.0)) * 2.0;
    let mut chart = ChartBuilder::on(&root)
        .caption(&row.figure, ("sans-serif", 18, &INK))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d((first.0 / 2.0..last.0 * 2.0).log_scale(), (first.1 / 2.0..top).log_scale())?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(INK.mix(0.12))
        .label_style(("sans-serif", 12, &INK))
        .x_desc("entities")
        .y_desc("seconds")
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .draw()?;
    let ends = [first.0, last.0].map(|x| (x, linear(x)));
    chart.draw_series([PathElement::new(ends, INK.mix(0.5))])?.label("linear");
    chart.draw_series(LineSeries::new(row.points.iter().copied(), MET.stroke_width(2)))?;
    chart.draw_series(row.points.iter().map(|point| Circle::new(*point, 4, MET.filled())))?;
    root.present()?;
    Ok(())
}
