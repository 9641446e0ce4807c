//! Connection to an object store: a URL and options go in; a guarded store and a path come out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreScheme, RetryConfig};
use url::Url;

use super::guard::GuardedStore;
use super::secret::{Secrets, shown_url};
use crate::error::{Error, Result};

/// Option that allows credentials and settings from the environment and from the machine's own identity.
const FROM_ENV: &str = "from_env";
/// Option with the number of times that a request is tried again.
const MAX_RETRIES: &str = "max_retries";
/// Default number of retries. With [`CONNECT_TIMEOUT`], a missing endpoint fails within seconds.
const DEFAULT_MAX_RETRIES: usize = 2;
/// Bound on the time after which a request is retried.
const RETRY_TIMEOUT: Duration = Duration::from_secs(6);
/// Time limit of a connect, as an option in the store's own notation. The limit of a whole request stays at the store's
/// 30 seconds, because a request may bring much data.
const CONNECT_TIMEOUT: (&str, &str) = ("connect_timeout", "2s");
const SCHEMES: &str =
    "s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or an https address of one of these";

type Options = BTreeMap<String, String>;

/// Builds a store of one kind. A macro, for the builders have the same methods and no trait.
macro_rules! build {
    ($builder:ty, $key:ty, $settings:ident, $url:ident, [$($credential:ident),*]) => {{
        let mut builder = if $settings.from_env { <$builder>::from_env() } else { <$builder>::new() };
        let (connect_timeout, seconds) = CONNECT_TIMEOUT;
        for (key, value) in std::iter::once((connect_timeout, seconds)).chain($settings.store_options()) {
            let Ok(known) = key.parse::<$key>() else { return Err($settings.unknown(key, stringify!($key))) };
            builder = builder.with_config(known, value);
        }
        let given = |key: $key| builder.get_config_value(&key).is_some_and(|value| value != "false");
        if !$settings.from_env && ![$(<$key>::$credential),*].into_iter().any(given) {
            return Err($settings.no_credentials());
        }
        let built = builder.with_url($url.as_str()).with_retry($settings.retry()).build();
        Arc::new(built.map_err(|e| $settings.refused(&e))?)
    }};
}

/// The store behind `url`, and the path of `url` in it.
///
/// # Errors
/// `InvalidInput` for a URL or an option that cannot be used. Nothing is asked of the store yet.
pub(super) fn connect(id: &str, url: &Url, options: &Options) -> Result<(Arc<dyn ObjectStore>, ObjectPath)> {
    let unusable = || {
        Error::invalid_input("URL of an object store").with("expected", SCHEMES).with("got", shown_url(url.as_str()))
    };
    // Credentials belong into the options, where they are hidden; the user of abfss:// is the container.
    let names_container = matches!(url.scheme(), "abfs" | "abfss") || url.username().is_empty();
    if url.password().is_some() || url.query().is_some() || url.fragment().is_some() || !names_container {
        return Err(Error::invalid_input("URL of an object store with credentials or parameters")
            .with("expected", "them as options")
            .with("got", shown_url(url.as_str())));
    }
    let (scheme, prefix) = ObjectStoreScheme::parse(url).map_err(|_| unusable())?;
    let settings = Settings::new(url, options)?;
    let store: Arc<dyn ObjectStore> = match scheme {
        ObjectStoreScheme::AmazonS3 => build!(
            AmazonS3Builder,
            AmazonS3ConfigKey,
            settings,
            url,
            [
                AccessKeyId,
                SkipSignature,
                WebIdentityTokenFile,
                ContainerCredentialsRelativeUri,
                ContainerCredentialsFullUri
            ]
        ),
        ObjectStoreScheme::GoogleCloudStorage => build!(
            GoogleCloudStorageBuilder,
            GoogleConfigKey,
            settings,
            url,
            [ServiceAccount, ServiceAccountKey, ApplicationCredentials, SkipSignature]
        ),
        ObjectStoreScheme::MicrosoftAzure => build!(
            MicrosoftAzureBuilder,
            AzureConfigKey,
            settings,
            url,
            [
                AccessKey,
                SasKey,
                Token,
                ClientSecret,
                FederatedTokenFile,
                MsiEndpoint,
                UseAzureCli,
                UseEmulator,
                SkipSignature
            ]
        ),
        _ => return Err(unusable()),
    };
    let guarded = GuardedStore::new(id, store, settings.secrets);
    Ok((Arc::new(guarded), prefix))
}

/// The options, checked as far as they are ours.
struct Settings<'a> {
    url: &'a Url,
    options: &'a Options,
    from_env: bool,
    max_retries: usize,
    secrets: Secrets,
}

impl<'a> Settings<'a> {
    fn new(url: &'a Url, options: &'a Options) -> Result<Self> {
        let wrong = |key: &str, expected: &str, got: &String| {
            Err(Error::invalid_input(format!("option {key}")).with("expected", expected).with("got", got))
        };
        let from_env = match options.get(FROM_ENV).map(String::as_str) {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return wrong(FROM_ENV, "true or false", &options[FROM_ENV]),
        };
        let max_retries = match options.get(MAX_RETRIES).map(|value| value.parse()) {
            None => DEFAULT_MAX_RETRIES,
            Some(Ok(retries)) => retries,
            Some(Err(_)) => return wrong(MAX_RETRIES, "a number of at least 0", &options[MAX_RETRIES]),
        };
        Ok(Self { url, options, from_env, max_retries, secrets: Secrets::of(options) })
    }

    /// The options that are the store's own.
    fn store_options(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let options = self.options.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        options.filter(|(key, _)| ![FROM_ENV, MAX_RETRIES].contains(key))
    }

    fn retry(&self) -> RetryConfig {
        RetryConfig { max_retries: self.max_retries, retry_timeout: RETRY_TIMEOUT, ..RetryConfig::default() }
    }

    fn unknown(&self, key: &str, keys: &str) -> Error {
        Error::invalid_input(format!("no such option of a store at {}://", self.url.scheme()))
            .with("expected", format!("{FROM_ENV}, {MAX_RETRIES} or a key of object_store's {keys}{}", self.examples()))
            .with("got", key)
    }

    fn examples(&self) -> &'static str {
        match self.url.scheme() {
            "gs" => " (google_service_account_key, skip_signature, allow_http, ...)",
            "s3" | "s3a" => " (aws_access_key_id, aws_secret_access_key, region, endpoint, allow_http, ...)",
            _ => " (azure_storage_account_name, azure_storage_account_key, azure_storage_sas_key, endpoint, ...)",
        }
    }

    fn no_credentials(&self) -> Error {
        Error::invalid_input("object store without credentials")
            .with("url", self.url)
            .with("expected", format!("keys as options{}", self.examples()))
            .with("or", "skip_signature 'true' for public data")
            .with("or", "from_env 'true' to take them from the environment or the machine's identity")
    }

    fn refused(&self, error: &object_store::Error) -> Error {
        Error::invalid_input("object store cannot be used")
            .with("url", self.url)
            .with("reason", self.secrets.hide(&error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn options(options: &[(&str, &str)]) -> Options {
        options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn stores_are_known_by_their_urls() {
        for (url, given, prefix) in [
            ("s3://bucket/a/b/", [("aws_access_key_id", "hush"), ("secret_access_key", "hush")], "a/b"),
            ("s3://bucket", [("skip_signature", "true"), ("timeout", "5s")], ""),
            ("gs://bucket/a%20b", [("skip_signature", "true"), ("max_retries", "0")], "a b"),
            ("az://container/a", [("azure_storage_account_name", "x"), ("azure_storage_account_key", "aHVzaA==")], "a"),
            ("abfss://container@x.dfs.core.windows.net/a", [("sas_token", "sig=hush"), ("connect_timeout", "9s")], "a"),
        ] {
            let (store, path) = connect("lake", &url.parse().unwrap(), &options(&given)).unwrap();
            assert_eq!(path.as_ref(), prefix, "{url}");
            let debug = format!("{store:?} {store}");
            assert!(!debug.contains("hush") && !debug.contains("aHVzaA"), "{debug}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_without_secrets() {
        let key = [("aws_access_key_id", "hush"), ("aws_secret_access_key", "hush")];
        for (url, given, parts) in [
            ("ftp://host/a", vec![], vec!["s3://bucket/prefix", "ftp://host/a"]),
            ("file:///etc", vec![], vec!["s3://bucket/prefix", "file:///etc"]),
            ("https://example.com/a", vec![], vec!["s3://bucket/prefix"]),
            ("s3://hush:hush@bucket/a", key.to_vec(), vec!["as options", "s3://***@bucket/a"]),
            ("s3://bucket/a?token=hush", key.to_vec(), vec!["as options", "s3://bucket/a?***"]),
            ("s3://bucket", vec![], vec!["without credentials", "aws_access_key_id", "from_env 'true'"]),
            ("s3://bucket", vec![("skip_signature", "false")], vec!["without credentials"]),
            ("gs://bucket", vec![("allow_http", "true")], vec!["google_service_account_key"]),
            ("s3://bucket", vec![("colour", "red")], vec!["got colour", "AmazonS3ConfigKey", "max_retries"]),
            ("az://bucket", vec![("aws_access_key_id", "hush")], vec!["got aws_access_key_id", "AzureConfigKey"]),
            ("s3://bucket", vec![("from_env", "maybe")], vec!["from_env", "expected true or false", "got maybe"]),
            ("s3://bucket", vec![("max_retries", "-1")], vec!["max_retries", "at least 0", "got -1"]),
            ("s3://bucket", vec![key[0]], vec!["cannot be used", "SecretAccessKey"]),
            ("s3://bucket", vec![key[0], key[1], ("allow_http", "hush")], vec!["cannot be used"]),
        ] {
            let error = connect("lake", &url.parse().unwrap(), &options(&given)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error}");
            let message = error.to_string();
            assert!(!message.contains("hush"), "{url}: {message}");
            for part in parts {
                assert!(message.contains(part), "{url}: {message:?} does not say {part:?}");
            }
        }
    }
}
