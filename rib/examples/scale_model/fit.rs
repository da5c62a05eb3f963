//! Curves through points: least squares, on logarithms and plain.
//!
//! A cost that grows as `c · x^k` is a straight line in logarithms; `k` near 1 is what a table that
//! grows should cost, and R² tells how much of the variation the line explains. Where a cost has
//! two parts (something per prefix and something per attribute set) no power fits, and a plain
//! line is drawn instead.

use std::fmt::Write as _;

use crate::point::Measured;

/// `y = coefficient · x^exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Power {
    pub coefficient: f64,
    pub exponent: f64,
    pub r2: f64,
}

/// `y = at_zero + slope · x`, and R².
#[derive(Clone, Copy, Debug)]
pub struct Line {
    pub at_zero: f64,
    pub slope: f64,
    pub r2: f64,
}

/// Fits a straight line; `None` with fewer than two different `x`.
pub fn line(points: &[(f64, f64)]) -> Option<Line> {
    let n = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / n;
    let (mean_x, mean_y) = (mean(|point| point.0), mean(|point| point.1));
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        let (dx, dy) = (x - mean_x, y - mean_y);
        xx += dx * dx;
        xy += dx * dy;
        yy += dy * dy;
    }
    if xx == 0.0 {
        return None;
    }
    let slope = xy / xx;
    Some(Line {
        at_zero: mean_y - slope * mean_x,
        slope,
        r2: if yy == 0.0 { 1.0 } else { xy * xy / (xx * yy) },
    })
}

/// Fits a power; points that are not positive are left out.
pub fn power(points: &[(f64, f64)]) -> Option<Power> {
    let logs: Vec<(f64, f64)> = points
        .iter()
        .filter(|(x, y)| *x > 0.0 && *y > 0.0)
        .map(|(x, y)| (x.ln(), y.ln()))
        .collect();
    let line = line(&logs)?;
    Some(Power {
        coefficient: line.at_zero.exp(),
        exponent: line.slope,
        r2: line.r2,
    })
}

/// What varies in a series, and costs by it.
fn variable(name: &str, row: &Measured) -> f64 {
    match name.split(' ').next() {
        Some("prefixes") => f64::from(row.point.prefixes),
        Some("peers") => f64::from(row.point.peers),
        Some("clients") => f64::from(row.point.clients),
        _ => row.sets as f64,
    }
}

/// One cost of a point.
pub type Cost = fn(&Measured) -> f64;

/// What is fitted, each in total and not per path.
const COSTS: [(&str, Cost); 8] = [
    ("decode ns", |row| row.stages[0] as f64),
    ("insert ns", |row| row.stages[1] as f64),
    ("offer ns", |row| row.stages[2] as f64),
    ("encode ns", |row| row.stages[3] as f64),
    ("all ns", |row| row.stages.iter().sum::<u64>() as f64),
    ("resident B", |row| row.resident as f64),
    ("octets sent", |row| row.sent as f64),
    ("peer down ns", |row| row.down as f64),
];

/// The curves of a series.
pub fn report(name: &str, rows: &[Measured]) -> String {
    let linear = name == "attribute sets";
    let mut text = match linear {
        true => "cost | at no sets | per set | R²\n--|--:|--:|--:\n".to_owned(),
        false => "cost | coefficient | exponent | R²\n--|--:|--:|--:\n".to_owned(),
    };
    for (cost, of) in COSTS {
        let points: Vec<(f64, f64)> = rows
            .iter()
            .map(|row| (variable(name, row), of(row)))
            .collect();
        let row = match linear {
            true => line(&points).map(|fit| (fit.at_zero, fit.slope, fit.r2)),
            false => power(&points).map(|fit| (fit.coefficient, fit.exponent, fit.r2)),
        };
        if let Some((first, second, r2)) = row {
            let _ = writeln!(text, "{cost} | {first:.3e} | {second:.3} | {r2:.4}");
        }
    }
    text
}
