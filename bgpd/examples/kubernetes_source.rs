//! Reads objects as the daemon does and prints what arrives: to try a kubeconfig, a role or a
//! folder of manifests, and to measure what the reading costs.
//!
//!     kubernetes_source (dir:///PATH | KUBECONFIG) [DIALECT...]

use std::path::PathBuf;
use std::process::ExitCode;

use bgpd::kubernetes::{Origin, Source, SourceConfig};
use cluster::DialectName;

fn dialect(word: &str) -> Option<DialectName> {
    match word {
        "native" => Some(DialectName::Native),
        "metallb" => Some(DialectName::Metallb),
        "calico" => Some(DialectName::Calico),
        "kube-router" => Some(DialectName::KubeRouter),
        _ => None,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(from) = words.next() else {
        eprintln!("kubernetes_source (dir:///PATH | KUBECONFIG) [DIALECT...]");
        return ExitCode::from(2);
    };
    let origin = Origin::parse(&from, None).unwrap_or(Origin::Api {
        kubeconfig: Some(PathBuf::from(from)),
    });
    let config = SourceConfig {
        origin,
        dialects: words.filter_map(|word| dialect(&word)).collect(),
        state_directory: std::env::var_os("STATE_DIRECTORY").map(PathBuf::from),
        node: "n1".into(),
        secrets: Default::default(),
    };
    let mut source = match Source::start(config) {
        Ok(source) => source,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let is_quiet = std::env::var_os("QUIET").is_some();
    while let Some(batch) = source.next().await {
        println!("{:?}: {} changes", batch.progress, batch.changes.len());
        for change in batch.changes.iter().filter(|_| !is_quiet) {
            println!("  {change:?}");
        }
        for (name, feed) in &source.status().feeds {
            let (word, objects) = (feed.state.word(), feed.objects);
            println!(
                "    {name}: {word}, {objects} objects, {:?}",
                feed.last_error
            );
        }
    }
    println!("{:?}", source.status().trouble);
    ExitCode::FAILURE
}
