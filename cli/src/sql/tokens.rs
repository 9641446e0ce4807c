//! SQL that is still being written, as tokens: a text or a comment may be open at its end.

/// A token that means something to completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A keyword, a name or a number.
    Word(&'a str),
    /// A name in double quotes, without them.
    Quoted(&'a str),
    /// A text in single quotes, without them.
    Text(&'a str),
    /// Any other character, and `=>`.
    Mark(&'a str),
}

impl<'a> Token<'a> {
    /// The word that it is.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The name that it may be.
    pub(super) fn name(&self) -> Option<&'a str> {
        match self {
            Self::Word(name) | Self::Quoted(name) | Self::Text(name) => Some(name),
            Self::Mark(_) => None,
        }
    }

    /// True if the token is the word `keyword`, regardless of case.
    pub(super) fn is(&self, keyword: &str) -> bool {
        self.word().is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }
}

/// The tokens of `text`; and, if a quote or a comment is open at its end, where it begins and its first character.
pub(super) fn tokens(text: &str) -> (Vec<Token<'_>>, Option<(usize, char)>) {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let end_of = |open: usize, close: &str| rest[open..].find(close).map(|end| open + end + close.len());
        let length = match first {
            '\'' | '"' => {
                let Some(length) = end_of(1, &first.to_string()) else { return (tokens, Some((at, first))) };
                let inner = &rest[1..length - 1];
                tokens.push(if first == '"' { Token::Quoted(inner) } else { Token::Text(inner) });
                length
            }
            '-' if rest.starts_with("--") => match end_of(2, "\n") {
                Some(length) => length,
                None => return (tokens, Some((at, first))),
            },
            '/' if rest.starts_with("/*") => match end_of(2, "*/") {
                Some(length) => length,
                None => return (tokens, Some((at, first))),
            },
            c if c.is_whitespace() => c.len_utf8(),
            c if is_of_word(c) => {
                let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
                tokens.push(Token::Word(&rest[..length]));
                length
            }
            c => {
                let length = if rest.starts_with("=>") { 2 } else { c.len_utf8() };
                tokens.push(Token::Mark(&rest[..length]));
                length
            }
        };
        at += length;
    }
    (tokens, None)
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;
    use Token::{Mark, Quoted, Text, Word};

    #[test]
    fn a_statement_is_tokens() {
        let (found, open) = tokens("SELECT \"A b\", x_1 -- no\n=> 'it' /* no */ ;");
        assert_eq!(found, [Word("SELECT"), Quoted("A b"), Mark(","), Word("x_1"), Mark("=>"), Text("it"), Mark(";")]);
        assert_eq!(open, None);
    }

    #[test]
    fn what_is_open_is_told() {
        for (text, open) in [("a 'b", (2, '\'')), ("a \"b", (2, '"')), ("a -- b", (2, '-')), ("ä /* b", (3, '/'))] {
            assert_eq!(tokens(text).1, Some(open));
        }
    }
}
