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

/// Between two drawings.
const REDRAW: Duration = Duration::from_millis(250);
const GREEN: &str = "\x1b[32m";
const RED: &str = "\x1b[31m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// How far the script is: the outcome of each step that ended.
pub type Progress = Arc<Mutex<Vec<Result<String, String>>>>;

/// Draws until the user presses `q`.
pub fn show(stage: &Stage, progress: &Progress) {
    let _terminal = Terminal::prepare();
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
        draw(&sight, &done, started.elapsed());
        std::thread::park_timeout(REDRAW);
    }
}

fn draw(sight: &Sight, done: &[Result<String, String>], elapsed: Duration) {
    let mut text = format!(
        "\x1b[H{BOLD}Wayfare{PLAIN}   tor1 FRR · tor2 BIRD · node1-3 wayfare-bgpd   {:>6.1} s   \
         q quits\r\n\r\n",
        elapsed.as_secs_f64()
    );
    let _ = write!(text, "{BOLD}Sessions{PLAIN}\r\n");
    for (router, node, up) in &sight.sessions {
        let (colour, state) = if *up {
            (GREEN, "Established")
        } else {
            (RED, "down")
        };
        let _ = write!(text, "  {router} - {node}  {colour}{state}{PLAIN}\r\n");
    }
    let _ = write!(text, "\r\n{BOLD}Kernel routes on the routers{PLAIN}\r\n");
    for (router, prefix, gateways) in &sight.routes {
        let _ = write!(text, "  {router}  {prefix:<20} {}\r\n", hops(gateways));
    }
    let _ = write!(text, "\r\n{BOLD}Play{PLAIN}\r\n");
    for (index, (title, _)) in STEPS.iter().enumerate() {
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

fn hops(gateways: &BTreeSet<IpAddr>) -> String {
    match gateways.len() {
        0 => "-".to_owned(),
        1 => format!(
            "via {}",
            gateways
                .iter()
                .next()
                .map(IpAddr::to_string)
                .unwrap_or_default()
        ),
        count => {
            let list: Vec<String> = gateways.iter().map(IpAddr::to_string).collect();
            format!("ECMP of {count}: {}", list.join(" "))
        }
    }
}

/// A terminal without line buffering and echo, as it was again afterwards.
struct Terminal {
    saved: Option<String>,
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
        Terminal { saved }
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

fn stty(arguments: &[&str]) {
    // Without a terminal there is nothing to set.
    let _ = Command::new("stty")
        .args(arguments)
        .stdin(Stdio::inherit())
        .status();
}
