//! The macro language, each rule against what keepalived makes of it.
//!
//! The expected lines were checked against keepalived's dump of its configuration where a rule is
//! easily misread (`@^`, a definition at the start of a line, nested sequences).

use super::*;
use crate::convert::keepalived::report::Verdict;

fn run(text: &str, id: Option<&str>) -> (Vec<String>, Report) {
    let outside = Outside {
        id,
        variable: |name| (name == "HOST").then(|| "r1".to_owned()),
        read: |_| Err(std::io::Error::other("no files here")),
    };
    let mut report = Report::default();
    let lines = evaluate("test.conf", text, outside, &mut report);
    (lines.into_iter().map(|line| line.text).collect(), report)
}

fn lines(text: &str) -> Vec<String> {
    run(text, None).0
}

#[test]
fn lines_for_another_are_left_out() {
    let text = "@high priority 170\n@^high priority 85\n  @low  state BACKUP";
    assert_eq!(run(text, Some("high")).0, ["priority 170"]);
    assert_eq!(run(text, Some("low")).0, ["priority 85", "state BACKUP"]);
    let (left, report) = run(text, None);
    assert_eq!(left, ["priority 85"]);
    assert_eq!(report.count(Verdict::Dropped), 2);
}

#[test]
fn definitions_are_put_in_where_they_end_a_word() {
    let text = "$IF=eth0\n$P = 1\ninterface $IF\na $IF,b ${IF}:1 $IFX $$ $\nuser ${_ENV HOST}x";
    let wanted = [
        "$P = 1",
        "interface eth0",
        "a eth0,b eth0:1 $IFX $$ $",
        "user r1x",
    ];
    assert_eq!(lines(text), wanted);
}

#[test]
fn a_definition_may_have_several_lines() {
    let text = "$VI= \\\n  interface eth0 \\\n  priority 100\nvrrp_instance A {\n$VI\n}";
    let wanted = ["vrrp_instance A {", "interface eth0", "priority 100", "}"];
    assert_eq!(lines(text), wanted);
}

#[test]
fn sequences_nest_in_definitions() {
    let text = "$N=2\n~SEQ(n, 1, $N) ~LST(i, eth0, eth1) $i.$n,\n";
    let found = lines("$N=2\n~SEQ(n, 1, $N) a $n b\n");
    assert_eq!(found, ["a 1 b", "a 2 b"]);
    assert_eq!(lines(text).len(), 4);
}

#[test]
fn what_grows_without_end_is_refused() {
    for text in [
        "$A=$A $A\nx $A\n",
        "~SEQ(a,9999) ~SEQ(b,9999) ~SEQ(c,9999) $a $b $c",
    ] {
        let (left, report) = run(text, None);
        assert!(left.len() <= LINES_MAX);
        assert!(report.count(Verdict::Refused) > 0, "{text}");
    }
}

#[test]
fn what_is_not_closed_or_not_there_is_named() {
    let (_, report) = run("script \"x\ninclude nowhere/*.conf\n~SEQ(x\n", None);
    let refused: Vec<usize> = report.entries.iter().map(|it| it.at.line).collect();
    assert_eq!(refused, [1, 2, 3]);
}
