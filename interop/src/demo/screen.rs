//! The demo on a terminal: sessions, routes and steps, redrawn in place until `q`.
//!
//! Plain escape sequences and `stty` are all it needs: no curses, no raw-mode crate. The terminal's
//! settings are put back on every way out, including a panic of the script, which the guard's
//! `Drop` covers.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::script::STEPS;
use super::stage::{Sight, Stage};
use super::vip::ADDRESS;

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(250);
/// Where nobody says how high the terminal is.
const ROWS_DEFAULT: usize = 50;
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How far the script is: the outcome of each step that ended.
pub type Progress = Arc<Mutex<Vec<Result<String, String>>>>;

/// Draws until the user presses `q`.
pub fn show(stage: &Stage, progress: &Progress) {
    let terminal = Terminal::prepare();
    let quit = Arc::new(AtomicBool::new(false));
    let pressed = Arc::clone(&quit);
    std::thread::spawn(move || {
        let mut key = [0; 1];
        while std::io::stdin()
            .read(&mut key)
            .is_ok_and(|count| count == 1)
        {
            if matches!(key[0], b'q' | b'Q' | 3) {
                break;
            }
        }
        pressed.store(true, Ordering::Relaxed);
    });
    let started = Instant::now();
    while !quit.load(Ordering::Relaxed) {
        let sight = stage.look();
        let done = progress.lock().map(|done| done.clone()).unwrap_or_default();
        draw(&sight, &done, started.elapsed(), terminal.rows);
        std::thread::park_timeout(REDRAW);
    }
}

fn draw(sight: &Sight, done: &[Result<String, String>], elapsed: Duration, rows: usize) {
    let mut text = format!(
        "\x1b[H{BOLD}Wayfare{PLAIN}   tor1 FRR · tor2 BIRD · node1-3 bgpd · cp1-2 vrrpd   {:>6.1} s   \
         q quits\r\n\r\n",
        elapsed.as_secs_f64()
    );
    draw_bgp(&mut text, sight);
    draw_vip(&mut text, sight);
    let above = text.lines().count() + 1;
    let _ = write!(text, "\r\n{BOLD}Play{PLAIN}\r\n");
    // A small terminal shows the last steps: what is drawn below its edge would scroll the rest.
    let room = rows.saturating_sub(above + 2).max(1);
    let begun = (done.len() + 1).min(STEPS.len());
    let skipped = match STEPS.len() > room {
        true => begun.saturating_sub(room),
        false => 0,
    };
    for (index, (title, _)) in STEPS.iter().enumerate().skip(skipped).take(room) {
        let (mark, figure) = match done.get(index) {
            Some(Ok(figure)) => (format!("{GREEN}ok{PLAIN}"), figure.as_str()),
            Some(Err(why)) => (format!("{RED}FAILED{PLAIN}"), why.as_str()),
            None if index == done.len() && done.iter().all(Result::is_ok) => ("..".into(), ""),
            None => ("  ".into(), ""),
        };
        let _ = write!(text, "  {mark} {title}  {figure}\r\n");
    }
    // Drawn over the last picture, the rest of each line cleared: no flicker.
    let text = text.replace("\r\n", "\x1b[K\r\n") + "\x1b[J";
    let mut out = std::io::stdout();
    // A closed terminal ends the demo by its signal, not here.
    let _ = out.write_all(text.as_bytes());
    let _ = out.flush();
}

fn draw_bgp(text: &mut String, sight: &Sight) {
    let _ = write!(text, "{BOLD}Sessions{PLAIN}\r\n");
    for router in routers(sight) {
        let _ = write!(text, "  {router} ");
        for (_, node, up) in sight.sessions.iter().filter(|(of, ..)| of == router) {
            let (colour, state) = match up {
                true => (GREEN, "Established"),
                false => (RED, "down"),
            };
            let _ = write!(text, " {node} {colour}{state:<11}{PLAIN}");
        }
        text.push_str("\r\n");
    }
    let _ = write!(text, "\r\n{BOLD}Kernel routes on the routers{PLAIN}\r\n");
    let prefixes: BTreeSet<&String> = sight.routes.iter().map(|(_, prefix, _)| prefix).collect();
    for prefix in prefixes {
        let _ = write!(text, "  {prefix:<18}");
        for (router, _, gateways) in sight.routes.iter().filter(|(_, of, _)| of == prefix) {
            let _ = write!(text, "  {router} {:<20}", hops(gateways));
        }
        text.push_str("\r\n");
    }
}

fn routers(sight: &Sight) -> BTreeSet<&String> {
    sight.sessions.iter().map(|(router, ..)| router).collect()
}

fn draw_vip(text: &mut String, sight: &Sight) {
    let _ = write!(text, "\r\n{BOLD}Control plane at {ADDRESS}{PLAIN}\r\n");
    for (node, state, has) in &sight.vip {
        let (colour, held) = match has {
            true => (GREEN, "has the address"),
            false => (PLAIN, ""),
        };
        let _ = write!(text, "  {node}  {colour}{state:<11}{PLAIN} {held}\r\n");
    }
    let stream = &sight.stream;
    let colour = if stream.lost > 0 { RED } else { GREEN };
    let _ = write!(
        text,
        "  client, a packet per ms: {colour}{} of the last {} lost{PLAIN}\r\n",
        stream.lost, stream.sent
    );
}

/// The gateways, from the second on by the last part of their addresses.
fn hops(gateways: &BTreeSet<IpAddr>) -> String {
    let mut text = String::new();
    for gateway in gateways {
        let full = gateway.to_string();
        match (text.is_empty(), full.rsplit_once('.')) {
            (false, Some((_, last))) => {
                let _ = write!(text, " .{last}");
            }
            _ => text = format!("via {full}"),
        }
    }
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

/// A terminal without line buffering and echo, as it was again afterwards.
struct Terminal {
    saved: Option<String>,
    /// Its height, as it was at the start.
    rows: usize,
}

impl Terminal {
    fn prepare() -> Terminal {
        let output = Command::new("stty")
            .arg("-g")
            .stdin(Stdio::inherit())
            .output();
        let saved = output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        stty(&["-icanon", "-echo", "min", "1"]);
        print!("\x1b[2J");
        Terminal {
            saved,
            rows: height().unwrap_or(ROWS_DEFAULT),
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(saved) = &self.saved {
            stty(&[saved]);
        }
        println!("{PLAIN}");
    }
}

/// The first of the two numbers that `stty size` prints; 0 where nobody knows.
fn height() -> Option<usize> {
    let mut command = Command::new("stty");
    let output = command.arg("size").stdin(Stdio::inherit()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = text.split_whitespace().next()?.parse().ok()?;
    (rows > 0).then_some(rows)
}

fn stty(arguments: &[&str]) {
    // Without a terminal there is nothing to set.
    let _ = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .status();
}
