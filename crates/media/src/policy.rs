//! Which paths and URLs may be opened.
//!
//! Invariant: what [`SourcePolicy::open_file`] returns is the file whose resolved path was checked.
//! The check is made on the open descriptor, so that a symlink or a directory swapped in between
//! changes nothing.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};

use crate::error::MediaError;

/// Where a video may come from.
#[derive(Debug, Clone)]
pub struct SourcePolicy {
    paths: PathRule,
    url_schemes: Vec<String>,
    url_hosts: Vec<String>,
}

#[derive(Debug, Clone)]
enum PathRule {
    /// Whatever this user may read, pipes and devices included.
    Anything,
    /// Regular files below one of these folders.
    Below(Vec<PathBuf>),
}

/// What a name turned out to be.
#[derive(Debug)]
pub(crate) enum Resolved {
    /// An open file, and whether it is a regular one.
    File { file: File, regular: bool },
    /// A URL that the lists allow, and its scheme.
    Url { url: String, scheme: String },
}

impl SourcePolicy {
    /// Allows every local path that this user may read, and no URL: for a command line, where the
    /// user names the files.
    #[must_use]
    pub fn unrestricted_local() -> Self {
        Self { paths: PathRule::Anything, url_schemes: Vec::new(), url_hosts: Vec::new() }
    }

    /// Allows regular files below `allowed_roots`, symlinks resolved, and no URL: for jobs, where
    /// somebody else names the files. No root allows no path.
    #[must_use]
    pub fn below(allowed_roots: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            paths: PathRule::Below(allowed_roots.into_iter().collect()),
            url_schemes: Vec::new(),
            url_hosts: Vec::new(),
        }
    }

    /// Also allows URLs whose scheme (`http` or `https`) and host are both listed. A host is
    /// listed by its name; one that begins with a dot stands for every name below it.
    #[must_use]
    pub fn with_urls(
        mut self,
        schemes: impl IntoIterator<Item = String>,
        hosts: impl IntoIterator<Item = String>,
    ) -> Self {
        self.url_schemes = schemes.into_iter().map(|scheme| scheme.to_ascii_lowercase()).collect();
        self.url_hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        self
    }

    /// Also allows this one file, which the process itself has made.
    #[must_use]
    pub fn and_file(mut self, path: &Path) -> Self {
        if let PathRule::Below(roots) = &mut self.paths {
            roots.push(path.to_owned());
        }
        self
    }

    /// Opens a local file under these rules, for whoever reads more than videos (a model file).
    ///
    /// # Errors
    /// [`MediaError::Refused`] when a rule forbids it, and what opening may fail with.
    pub fn open_file(&self, path: &str) -> Result<File, MediaError> {
        self.open_path(path, Path::new(path)).map(|(file, _)| file)
    }

    pub(crate) fn resolve(&self, uri: &str) -> Result<Resolved, MediaError> {
        let Some((scheme, rest)) = split_scheme(uri) else {
            return self
                .open_path(uri, Path::new(uri))
                .map(|(file, regular)| Resolved::File { file, regular });
        };
        if scheme == "file" {
            let path = file_url_path(rest)
                .ok_or_else(|| refused(uri, "a file URL must be file:///path, without escapes"))?;
            return self
                .open_path(uri, Path::new(path))
                .map(|(file, regular)| Resolved::File { file, regular });
        }
        self.check_url(uri, &scheme, rest)?;
        Ok(Resolved::Url { url: uri.to_owned(), scheme })
    }

    fn check_url(&self, uri: &str, scheme: &str, rest: &str) -> Result<(), MediaError> {
        if !matches!(scheme, "http" | "https") || !self.url_schemes.iter().any(|s| s == scheme) {
            let reason =
                format!("URLs of scheme {scheme:?} are not allowed here; use a local path");
            return Err(refused(uri, &reason));
        }
        let host = url_host(rest).ok_or_else(|| {
            refused(uri, "the URL's host cannot be read without doubt; leave out user names and odd characters")
        })?;
        let listed = self.url_hosts.iter().any(|allowed| match allowed.strip_prefix('.') {
            Some(parent) => host.strip_suffix(parent).is_some_and(|head| head.ends_with('.')),
            None => *allowed == host,
        });
        if listed {
            Ok(())
        } else {
            Err(refused(uri, &format!("host {host:?} is not on the list of allowed hosts")))
        }
    }

    fn open_path(&self, name: &str, path: &Path) -> Result<(File, bool), MediaError> {
        match &self.paths {
            PathRule::Anything => {
                // Opening a pipe that nobody writes yet must not hang where no stop is looked at.
                let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
                let file = rustix::fs::openat(CWD, path, flags, Mode::empty())
                    .map(File::from)
                    .map_err(|error| MediaError::from_open(name, error.into()))?;
                let regular = classify(name, &file)?;
                Ok((file, regular))
            }
            PathRule::Below(roots) => {
                let file = open_below(name, path, roots)?;
                Ok((file, true))
            }
        }
    }
}

/// Whether the open file is a regular one; a directory is an error.
fn classify(name: &str, file: &File) -> Result<bool, MediaError> {
    let metadata = file.metadata().map_err(|error| MediaError::from_open(name, error))?;
    if metadata.is_dir() {
        return Err(MediaError::from_open(name, std::io::ErrorKind::IsADirectory.into()));
    }
    Ok(metadata.is_file())
}

fn open_below(name: &str, path: &Path, roots: &[PathBuf]) -> Result<File, MediaError> {
    // A root that does not exist allows nothing; it may be a mount that comes later.
    let roots: Vec<PathBuf> = roots.iter().filter_map(|root| root.canonicalize().ok()).collect();
    let inside = |resolved: &Path| roots.iter().any(|root| resolved.starts_with(root));
    let outside = || refused(name, "it is not below a folder that is allowed here");
    let resolved = match path.canonicalize() {
        Ok(resolved) => resolved,
        // Outside the roots, whether something exists is nobody's business.
        Err(_) if !nearest_existing(path).is_some_and(|parent| inside(&parent)) => {
            return Err(outside());
        }
        Err(error) => return Err(MediaError::from_open(name, error)),
    };
    if !inside(&resolved) {
        return Err(outside());
    }
    let metadata = resolved.metadata().map_err(|error| MediaError::from_open(name, error))?;
    let file_type = metadata.file_type();
    if file_type.is_fifo()
        || file_type.is_char_device()
        || file_type.is_block_device()
        || file_type.is_socket()
    {
        return Err(refused(name, "it is a pipe, socket or device; only regular files are taken"));
    }
    // Should it have become a pipe since, opening must not hang on it.
    let flags =
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = rustix::fs::openat(CWD, &resolved, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| MediaError::from_open(name, error.into()))?;
    if !classify(name, &file)? {
        return Err(refused(name, "it is not a regular file"));
    }
    if descriptor_lies(&file, &resolved, inside) { Ok(file) } else { Err(outside()) }
}

/// Whether the file that is open lies inside, asked of the descriptor itself where the system can
/// tell, else by comparing identities with the path that was checked.
fn descriptor_lies(file: &File, resolved: &Path, inside: impl Fn(&Path) -> bool) -> bool {
    if let Ok(actual) = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())) {
        return inside(&actual);
    }
    let same =
        |a: std::fs::Metadata, b: std::fs::Metadata| a.dev() == b.dev() && a.ino() == b.ino();
    match (file.metadata(), resolved.canonicalize().and_then(|again| again.metadata())) {
        (Ok(opened), Ok(checked)) => same(opened, checked),
        _ => false,
    }
}

/// The closest ancestor that exists, symlinks resolved.
fn nearest_existing(path: &Path) -> Option<PathBuf> {
    let absolute = std::path::absolute(path).ok()?;
    absolute.ancestors().skip(1).find_map(|ancestor| ancestor.canonicalize().ok())
}

fn refused(name: &str, reason: &str) -> MediaError {
    MediaError::Refused { name: name.to_owned(), reason: reason.to_owned() }
}

/// Splits `scheme://rest`; `None` when the name is a path.
fn split_scheme(uri: &str) -> Option<(String, &str)> {
    let (scheme, rest) = uri.split_once("://")?;
    let mut bytes = scheme.bytes();
    let well_formed = bytes.next().is_some_and(|b| b.is_ascii_alphabetic())
        && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    well_formed.then(|| (scheme.to_ascii_lowercase(), rest))
}

/// The path of `file://` + `rest`. Escapes are not decoded, so a `%` is not guessed at.
fn file_url_path(rest: &str) -> Option<&str> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    (path.starts_with('/') && !path.contains('%')).then_some(path)
}

/// The host of an authority that every parser reads the same way, in lower case.
fn url_host(rest: &str) -> Option<String> {
    let authority = rest.split(['/', '?', '#']).next()?;
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (authority, None),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok());
    let host_fits = !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    let rest_fits = rest.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    (port_fits && host_fits && rest_fits).then(|| host.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::FailureKind;

    fn kind(policy: &SourcePolicy, uri: &str) -> FailureKind {
        policy.resolve(uri).expect_err(uri).kind()
    }

    #[test]
    fn a_path_counts_where_it_leads_to() {
        let root = tempfile::tempdir().expect("temporary folder");
        let elsewhere = tempfile::tempdir().expect("temporary folder");
        let secret = elsewhere.path().join("secret");
        std::fs::write(&secret, b"x").expect("written");
        let inside = root.path().join("inside");
        std::fs::write(&inside, b"x").expect("written");
        std::os::unix::fs::symlink(&secret, root.path().join("leads-out")).expect("linked");
        std::os::unix::fs::symlink(&inside, elsewhere.path().join("leads-in")).expect("linked");
        let policy = SourcePolicy::below([root.path().to_owned()]);
        let at = |folder: &Path, name: &str| folder.join(name).display().to_string();

        assert!(policy.resolve(&at(root.path(), "inside")).is_ok());
        assert!(policy.resolve(&format!("file://{}", at(root.path(), "inside"))).is_ok());
        assert!(policy.resolve(&at(elsewhere.path(), "leads-in")).is_ok());
        for outside in [
            at(elsewhere.path(), "secret"),
            at(root.path(), "leads-out"),
            at(root.path(), "../secret"),
            at(elsewhere.path(), "not-there"),
            "/etc/passwd".to_owned(),
        ] {
            assert_eq!(kind(&policy, &outside), FailureKind::SourceRefused, "{outside}");
        }
        assert_eq!(kind(&policy, &at(root.path(), "not-there")), FailureKind::NotFound);
        assert_eq!(kind(&policy, &at(root.path(), "inside/below")), FailureKind::NotFound);
        assert_eq!(kind(&policy, &at(root.path(), "nul\0inside")), FailureKind::NotFound);
        assert_eq!(kind(&policy, &at(root.path(), &"long".repeat(100))), FailureKind::NotFound);
        assert_eq!(kind(&policy, &root.path().display().to_string()), FailureKind::NotAVideo);
    }

    #[test]
    fn a_file_that_is_allowed_by_itself_opens_no_other() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["own", "own-not"] {
            std::fs::write(path(name), b"x").expect("written");
        }
        let policy = SourcePolicy::below([]).and_file(&path("own"));
        assert!(policy.resolve(&path("own").display().to_string()).is_ok());
        let other = path("own-not").display().to_string();
        assert_eq!(kind(&policy, &other), FailureKind::SourceRefused);
    }

    #[test]
    fn a_folder_whose_name_only_begins_like_a_root_is_outside() {
        let parent = tempfile::tempdir().expect("temporary folder");
        for folder in ["media", "media-private"] {
            std::fs::create_dir(parent.path().join(folder)).expect("made");
        }
        let file = parent.path().join("media-private/file");
        std::fs::write(&file, b"x").expect("written");
        let policy = SourcePolicy::below([parent.path().join("media")]);
        assert_eq!(kind(&policy, &file.display().to_string()), FailureKind::SourceRefused);
    }

    #[test]
    fn pipes_and_devices_are_refused_for_jobs_without_hanging() {
        let root = tempfile::tempdir().expect("temporary folder");
        let fifo = root.path().join("fifo");
        rustix::fs::mkfifoat(CWD, &fifo, Mode::RUSR | Mode::WUSR).expect("a pipe");
        let policy = SourcePolicy::below([root.path().to_owned(), PathBuf::from("/dev")]);
        for name in [fifo.display().to_string(), "/dev/null".to_owned(), "/dev/zero".to_owned()] {
            assert_eq!(kind(&policy, &name), FailureKind::SourceRefused, "{name}");
        }
    }

    #[test]
    fn without_a_root_no_path_is_allowed() {
        assert_eq!(kind(&SourcePolicy::below([]), "/etc/passwd"), FailureKind::SourceRefused);
    }

    #[test]
    fn urls_need_a_listed_scheme_and_a_listed_host() {
        let none = SourcePolicy::unrestricted_local();
        assert_eq!(kind(&none, "https://media.example/a.mp4"), FailureKind::SourceRefused);
        let policy = SourcePolicy::below([]).with_urls(
            ["https".to_owned()],
            ["media.example".to_owned(), ".cdn.example".to_owned()],
        );
        for allowed in [
            "https://media.example/a.mp4",
            "HTTPS://Media.Example:8443/a?b",
            "https://a.cdn.example/x",
        ] {
            assert!(policy.resolve(allowed).is_ok(), "{allowed}");
        }
        for forbidden in [
            "http://media.example/a.mp4",
            "https://media.example.evil/a.mp4",
            "https://evil/?media.example",
            "https://media.example@evil/a.mp4",
            "https://evil\\@media.example/a",
            "https://cdn.example/x",
            "https://xcdn.example/x",
            "https:///a",
            "https://[::1]/a",
            "ftp://media.example/a",
            "concat://media.example/a",
        ] {
            assert_eq!(kind(&policy, forbidden), FailureKind::SourceRefused, "{forbidden}");
        }
    }
}
