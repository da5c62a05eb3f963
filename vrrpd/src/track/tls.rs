//! TLS of checks: rustls, built when the first HTTPS check asks, and not before.
//!
//! Certificates are judged at every connection: sessions are not resumed, because a resumed one
//! proves nothing about a certificate that has expired since. The file of authorities is read
//! again when it changes. `insecure` takes any certificate, which is what the API server of the
//! same host deserves: whoever could pretend to be it there has won already.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::config::check::Tls;

/// Where systems keep the authorities they trust, the first that is there: Debian, Red Hat, SUSE,
/// Alpine. `SSL_CERT_FILE` is asked before all of them.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Whom one check trusts, kept between its questions.
#[derive(Default)]
pub(super) struct Trust {
    /// The file it was made of and when that was written.
    made_of: Option<(PathBuf, Option<SystemTime>)>,
    config: Option<Arc<ClientConfig>>,
}

impl Trust {
    /// TLS over `stream` with a server called `host`.
    pub(super) async fn handshake<S>(
        &mut self,
        tls: &Tls,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, String>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let config = self.config(tls)?;
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| format!("{host} is no name for a server"))?;
        let connected = TlsConnector::from(config).connect(name, stream).await;
        connected.map_err(|error| match error.get_ref() {
            Some(inner) => format!("TLS: {inner}"),
            None => format!("TLS: {error}"),
        })
    }

    fn config(&mut self, tls: &Tls) -> Result<Arc<ClientConfig>, String> {
        let path = match tls {
            Tls::Ca(path) => Some(path.clone()),
            Tls::System => Some(system_authorities()?),
            Tls::Insecure => None,
        };
        let written = |path: &PathBuf| std::fs::metadata(path).and_then(|it| it.modified()).ok();
        let made_of = path.as_ref().map(|path| (path.clone(), written(path)));
        if let Some(config) = self.config.as_ref().filter(|_| self.made_of == made_of) {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(build(path.as_deref())?);
        (self.made_of, self.config) = (made_of, Some(Arc::clone(&config)));
        Ok(config)
    }
}

fn system_authorities() -> Result<PathBuf, String> {
    let named = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    let known = SYSTEM.into_iter().map(PathBuf::from);
    let mut all = named.into_iter().chain(known);
    all.find(|path| path.exists())
        .ok_or_else(|| "this system has no file of trusted authorities".to_owned())
}

/// A configuration that trusts the authorities in `path`, or anybody.
fn build(path: Option<&Path>) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS: {error}"))?;
    let mut config = match path {
        None => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            .with_no_client_auth(),
        Some(path) => builder
            .with_root_certificates(authorities(path)?)
            .with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let unreadable = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut roots = RootCertStore::empty();
    let list = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    for certificate in list {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        // Bundles hold a few that nobody can read; the others count.
        let _ = roots.add(certificate);
    }
    match roots.is_empty() {
        true => Err(unreadable(&"no certificate")),
        false => Ok(roots),
    }
}

/// Takes every certificate (`insecure = true`); what the server signs must still be right.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
