//! Secrets in options and URLs: options and texts go in, texts without secrets come out.

use std::collections::BTreeMap;

use url::Url;

/// The mark that stands for a secret.
const HIDDEN: &str = "***";
/// Words that the key of a secret option contains.
const SECRET_WORDS: [&str; 6] = ["key", "secret", "token", "password", "credential", "sas"];
/// A shorter text is found everywhere, and is no secret worth the name.
const BYTES_MIN: usize = 4;

/// The value of an option, safe to show: `***` if its key sounds secret, or if it is a URL with a user or password.
pub fn redact_option<'a>(key: &str, value: &'a str) -> &'a str {
    let key = key.to_lowercase();
    let has_user = Url::parse(value).is_ok_and(|url| !url.username().is_empty() || url.password().is_some());
    if has_user || SECRET_WORDS.iter().any(|word| key.contains(word)) { HIDDEN } else { value }
}

/// A URL without user, password, parameters and fragment.
pub(super) fn shown_url(url: &str) -> String {
    let shown = match url.find(['?', '#']) {
        Some(end) => format!("{}{HIDDEN}", &url[..=end]),
        None => url.to_owned(),
    };
    let authority = shown.find("://").map_or(0, |at| at + 3);
    let authority_end = shown[authority..].find('/').map_or(shown.len(), |length| authority + length);
    match shown[authority..authority_end].rfind('@') {
        Some(at) => format!("{}{HIDDEN}{}", &shown[..authority], &shown[authority + at..]),
        None => shown,
    }
}

/// Values that no message may hold.
pub(super) struct Secrets(Vec<String>);

impl Secrets {
    pub(super) fn of(options: &BTreeMap<String, String>) -> Self {
        let secret =
            options.iter().filter(|(key, value)| value.len() >= BYTES_MIN && redact_option(key, value) == HIDDEN);
        let mut values: Vec<String> = secret.map(|(_, value)| value.clone()).collect();
        // A secret that another one contains must not leave the rest of it readable.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Self(values)
    }

    /// The text without secrets, and without the parameters of URLs, where signatures are.
    pub(super) fn hide(&self, text: &str) -> String {
        let hidden = self.0.iter().fold(text.to_owned(), |text, secret| text.replace(secret, HIDDEN));
        let words = hidden.split_inclusive(char::is_whitespace).map(|word| match word.find("://") {
            Some(at) => match word[at..].find('?') {
                Some(query) => {
                    let end = word.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ')' | ',' | '"')).len();
                    format!("{}?{HIDDEN}{}", &word[..at + query], &word[end.max(at + query + 1)..])
                }
                None => word.to_owned(),
            },
            None => word.to_owned(),
        });
        words.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_wherever_they_stand() {
        let options = [("sas_token", "sv=1&sig=abc"), ("aws_secret_access_key", "sv=1&sig=abcdef"), ("region", "eu-1")];
        let options = options.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let secrets = Secrets::of(&options);
        assert_eq!(secrets.hide("got sv=1&sig=abcdef in eu-1"), "got *** in eu-1");
        assert_eq!(secrets.hide("GET (http://host/a?sig=x%20y) in 1s"), "GET (http://host/a?***) in 1s");
        assert_eq!(secrets.hide("is it? http://host/a, yes"), "is it? http://host/a, yes");
        assert_eq!(secrets.hide("http://host/a?"), "http://host/a?***");
        assert_eq!(redact_option("proxy_url", "http://me:hush@proxy"), "***");
        assert_eq!(redact_option("endpoint", "http://127.0.0.1:9000"), "http://127.0.0.1:9000");
        assert_eq!(redact_option("AWS_Session_Token", "x"), "***");
    }
}
