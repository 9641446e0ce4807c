//! Certificates for one test: an authority, a server's, and a client's.

use rcgen::{BasicConstraints, CertificateParams, DnType, Error, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// PEM of all that the two sides of a connection need.
pub(crate) struct Certificates {
    /// The authority that both sides trust.
    pub(crate) ca: String,
    /// Certificate and key of the server at `localhost` and `127.0.0.1`.
    pub(crate) server: (String, String),
    /// Certificate and key of a client.
    pub(crate) client: (String, String),
}

impl Certificates {
    /// New ones, by an authority of their own.
    pub(crate) fn new() -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate()?;
        // Names of authorities differ, as their keys do.
        let name = format!("ruvector test authority {:?}", key.public_key_raw().last_chunk::<8>());
        params.distinguished_name.push(DnType::CommonName, name);
        let ca = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let signed = |names: &[&str]| {
            let key = KeyPair::generate()?;
            let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
            let certificate = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
            Ok::<_, Error>((certificate.pem(), key.serialize_pem()))
        };
        Ok(Self { ca, server: signed(&["localhost", "127.0.0.1"])?, client: signed(&["client"])? })
    }
}
