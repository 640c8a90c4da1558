//! Who may call: whoever presents one of the tokens in the file, or everybody where there is none.
//!
//! Tokens are kept and compared as SHA-256 digests, without an early exit: the time a comparison
//! takes says nothing about how much of a guess was right.

use std::collections::HashSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Bytes that a token file may have.
pub const TOKEN_FILE_BYTES_MAX: u64 = 64 << 10;
/// Bytes that a token must have, so that it cannot be guessed.
pub const TOKEN_BYTES_MIN: usize = 16;

/// Why a token file cannot be used.
#[derive(Debug, Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("the token file {path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// It is larger than [`TOKEN_FILE_BYTES_MAX`].
    #[error("the token file {0} is over {TOKEN_FILE_BYTES_MAX} bytes")]
    Size(PathBuf),
    /// A token that is shorter than [`TOKEN_BYTES_MIN`].
    #[error("line {line} of the token file {path} is shorter than {TOKEN_BYTES_MIN} bytes")]
    Short {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// It holds no token.
    #[error("the token file {0} holds no token")]
    Empty(PathBuf),
}

/// The tokens that open the faces. Cheap to clone.
#[derive(Clone)]
pub struct Tokens(Arc<HashSet<[u8; 32]>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({})", self.0.len())
    }
}

impl Tokens {
    /// Reads a token file: one token a line; blank lines and lines that begin with `#` are none.
    ///
    /// # Errors
    /// When the file cannot be read, is too large, holds no token or one that is too short.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        let read_error = |source| TokenError::Read { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(read_error)?;
        let mut text = String::new();
        file.take(TOKEN_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(read_error)?;
        if text.len() as u64 > TOKEN_FILE_BYTES_MAX {
            return Err(TokenError::Size(path.to_owned()));
        }
        let mut digests = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            if token.len() < TOKEN_BYTES_MIN {
                return Err(TokenError::Short { path: path.to_owned(), line: index + 1 });
            }
            digests.insert(Sha256::digest(token.as_bytes()).into());
        }
        if digests.is_empty() {
            return Err(TokenError::Empty(path.to_owned()));
        }
        Ok(Self(Arc::new(digests)))
    }

    /// Whether the value of an `authorization` header names one of the tokens.
    #[must_use]
    pub fn admit(&self, authorization: Option<&[u8]>) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let Some((scheme, token)) = authorization.and_then(|value| value.split_at_checked(7))
        else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case(SCHEME) {
            return false;
        }
        let presented: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        // Every digest is compared in full.
        self.0.iter().fold(false, |admitted, digest| {
            let difference = digest.iter().zip(&presented).fold(0, |sum, (a, b)| sum | (a ^ b));
            admitted | (std::hint::black_box(difference) == 0)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Result<Tokens, TokenError> {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("tokens");
        std::fs::write(&path, text).expect("written");
        Tokens::read(&path)
    }

    #[test]
    fn any_of_the_tokens_is_admitted_and_nothing_else() {
        let tokens = tokens("# two of them\nfirst-token-0123456789\n\nsecond-token-012345678\n")
            .expect("readable");
        for good in ["Bearer first-token-0123456789", "bearer second-token-012345678"] {
            assert!(tokens.admit(Some(good.as_bytes())), "{good}");
        }
        for bad in ["first-token-0123456789", "Bearer ", "Bearer first-token-012345678", "Basic x"]
        {
            assert!(!tokens.admit(Some(bad.as_bytes())), "{bad}");
        }
        assert!(!tokens.admit(None));
        assert!(!format!("{tokens:?}").contains("first"));
    }

    #[test]
    fn files_that_protect_nothing_are_refused() {
        assert!(matches!(tokens("# nothing\n"), Err(TokenError::Empty(_))));
        assert!(matches!(tokens("\nshort\n"), Err(TokenError::Short { line: 2, .. })));
        assert!(matches!(tokens(&"x".repeat(70_000)), Err(TokenError::Size(_))));
        assert!(matches!(Tokens::read(Path::new("/nonexistent/t")), Err(TokenError::Read { .. })));
    }
}
