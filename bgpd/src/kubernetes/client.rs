//! Access to the API server: where it is, who we are, and what to do when it no longer knows us.
//!
//! The `kube` crate reads the kubeconfig (certificates, token, token file, exec plugin) or the
//! pod's service account, and brings TLS. Its own retries are off: when to ask again is decided in
//! one place, the machine. A token file is re-read within a minute by `kube`; a 401 throws the
//! whole client away, so that the next request reads kubeconfig, token and certificates anew. The
//! same happens when the server cannot be reached for long, since its address or its CA may have
//! changed in the file. A file that is not there yet (the daemon starts before the kubelet) is an
//! error like any other: it is said, and tried again.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use http::Request;
use kube::Config;
use kube::client::{Body, Client, ClientBuilder};
use kube::config::{KubeConfigOptions, Kubeconfig};
use std::time::Duration;
use tokio::sync::Mutex;

use super::reduce::digest;

/// A connect attempt is given up after this; the default of 30 s delays the next server's turn.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The way to the API server.
pub(crate) struct Access {
    kubeconfig: Option<PathBuf>,
    current: Mutex<Option<(u64, Client, String)>>,
    built: Cell<u64>,
}

/// A client, and which one: to be given back to [`Access::distrust`].
#[derive(Clone)]
pub(crate) struct Visit {
    pub client: Client,
    pub url: String,
    number: u64,
}

impl Access {
    pub fn new(kubeconfig: Option<PathBuf>) -> Self {
        Self {
            kubeconfig,
            current: Mutex::new(None),
            built: Cell::new(0),
        }
    }

    /// The client, made anew if nobody has one or the last was not trusted.
    ///
    /// # Errors
    /// Which file or variable is wrong and what to do about it.
    pub async fn visit(&self) -> Result<Visit, String> {
        let mut current = self.current.lock().await;
        let (number, client, url) = match current.take() {
            Some(known) => known,
            None => {
                let config = self.config().await?;
                let url = config.cluster_url.to_string();
                let builder = ClientBuilder::try_from(config)
                    .map_err(|error| format!("no client for {url}: {}", in_full(&error)))?;
                self.built.set(self.built.get() + 1);
                (self.built.get(), builder.build(), url)
            }
        };
        *current = Some((number, client.clone(), url.clone()));
        Ok(Visit {
            client,
            url,
            number,
        })
    }

    /// Credentials are read anew before the next request, unless they were since this visit began.
    pub async fn distrust(&self, visit: &Visit) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|(n, _, _)| *n == visit.number) {
            *current = None;
        }
    }

    /// What tells this cluster from another before it is asked: its CA, else its URL. `None` when
    /// neither is known yet.
    pub async fn cluster(&self) -> Option<String> {
        let config = self.config().await.ok()?;
        let authority = config.root_cert.unwrap_or_default().concat();
        Some(match authority.is_empty() {
            true => config.cluster_url.to_string(),
            false => format!("the CA {:016x}", digest(&authority)),
        })
    }

    async fn config(&self) -> Result<Config, String> {
        let mut config = match &self.kubeconfig {
            Some(path) => from_file(path).await?,
            None => Config::incluster().map_err(|error| {
                let cause = in_full(&error);
                format!("not in a pod ({cause}): set [kubernetes] kubeconfig = \"/PATH\"")
            })?,
        };
        trim_token(&mut config);
        if config.cluster_url.scheme_str() == Some("http") {
            // Without TLS nothing is trusted; the system's certificates, which `kube` would load,
            // are absent in an image made from nothing, and that would be an error.
            config.root_cert.get_or_insert_default();
        }
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        Ok(config)
    }
}

/// `kube` sends a token file as it is; the end of its line would make every request invalid.
fn trim_token(config: &mut Config) {
    let path = config.auth_info.token_file.as_deref().unwrap_or_default();
    match std::fs::read_to_string(path) {
        Ok(text) if text.trim() != text => {
            config.auth_info.token = Some(text.trim().to_owned().into());
        }
        _ => {}
    }
}

async fn from_file(path: &Path) -> Result<Config, String> {
    let wrong = |cause: String| format!("kubeconfig {}: {cause}", path.display());
    let file = Kubeconfig::read_from(path).map_err(|error| wrong(in_full(&error)))?;
    Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
        .await
        .map_err(|error| wrong(in_full(&error)))
}

/// A GET of this path and query.
pub(crate) fn get(path_and_query: &str) -> Result<Request<Body>, String> {
    Request::get(path_and_query)
        .header(http::header::ACCEPT, "application/json")
        .body(Body::empty())
        .map_err(|error| format!("{path_and_query}: {error}"))
}

/// An error with its causes, each said once.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
