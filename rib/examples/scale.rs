//! How cost grows with prefixes, peers, clients and attribute sets.
//!
//! `cargo run --release -p rib --example scale` runs a grid of points, each in a process of its
//! own so that no point inherits another's memory, prints what was measured, fits curves and
//! computes from them what a large route server would take. `scale point …` is one point,
//! `scale small` and `scale large` are other sizes of the grid. What the figures mean, and what
//! they leave out, is in `docs/scale.md`.
//!
//! A point is a router in this process: peers come up one after the other, send a table of
//! `PREFIXES` in reads of 256 KiB, and after each read everybody who listens is sent what changed.
//! There are no sockets. Time is that of this thread on a processor, which other work on the
//! machine hardly touches; each stage counts for itself.
#![expect(clippy::print_stdout, reason = "a program for the terminal")]

#[path = "../benches/feed/mod.rs"]
mod feed;
#[path = "scale_model/fit.rs"]
mod fit;
#[path = "scale_model/model.rs"]
mod model;
#[path = "scale_model/point.rs"]
mod point;

use point::{Measured, Point};

/// Points that are measured, by what they vary, of at most `limit` paths.
fn series(limit: u64) -> Vec<(&'static str, Vec<Point>)> {
    let route_server = |prefixes, peers| Point {
        prefixes,
        peers,
        ..Point::TABLE
    };
    let reflector = |clients| Point {
        prefixes: 100_000,
        clients,
        ..Point::TABLE
    };
    let sets = |per_set| Point {
        prefixes: 400_000,
        per_set,
        ..Point::TABLE
    };
    let table = |prefixes| Point {
        prefixes,
        ..Point::TABLE
    };
    let servers = |prefixes: u32| -> Vec<Point> {
        [1, 3, 10, 30, 100, 300, 1_000]
            .into_iter()
            .map(|peers| route_server(prefixes, peers))
            .filter(|point| point.paths() <= limit)
            .collect()
    };
    vec![
        (
            "prefixes",
            [10_000, 30_000, 100_000, 300_000, 1_000_000]
                .map(table)
                .to_vec(),
        ),
        ("peers of 10,000 prefixes", servers(10_000)),
        ("peers of 100,000 prefixes", servers(100_000)),
        ("peers of 1,000,000 prefixes", servers(1_000_000)),
        (
            "clients of a reflector",
            [10, 30, 100, 300, 1_000].map(reflector).to_vec(),
        ),
        (
            "attribute sets",
            [100, 32, 16, 8, 4, 2, 1].map(sets).to_vec(),
        ),
    ]
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["point", ref numbers @ ..] => {
            let point = Point::from_words(numbers).expect("PREFIXES PEERS CLIENTS PER_SET");
            println!("{}", point.measure().to_line());
        }
        // A minute; five minutes and 2 GB; half an hour and 8 GB.
        ["small"] => run(3_000_000),
        [] => run(30_000_000),
        ["large"] => run(100_000_000),
        _ => println!("scale [small | large | point PREFIXES PEERS CLIENTS PER_SET]"),
    }
}

fn run(limit: u64) {
    let mut all: Vec<Measured> = Vec::new();
    for (name, points) in series(limit) {
        println!("\n## {name}\n\n{}", Measured::HEADER);
        let mut rows: Vec<Measured> = Vec::new();
        for point in points {
            let known = all.iter().find(|row| row.point == point).copied();
            let row = known.unwrap_or_else(|| point.measure_apart());
            println!("{}", row.to_row());
            rows.push(row);
        }
        println!("\n{}", fit::report(name, &rows));
        all.extend(rows);
    }
    println!("{}", model::report(&all));
}
