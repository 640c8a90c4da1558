//! The gRPC methods that a process knows, and what of them is shown.

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::intern::{OTHER, intern};
use crate::span::{RootName, is_same, quick_hash_of_end};

/// What a call leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Visibility {
    /// A span and a duration.
    Span,
    /// A duration: for heartbeats, polls and streams that live for hours.
    DurationOnly,
    /// Nothing: for probes.
    Hidden,
}

/// Packages whose calls leave nothing behind: health and reflection.
const HIDDEN_PACKAGES: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];

/// The methods that a server serves or a client calls. Any other is `_OTHER`.
#[derive(Debug, Clone)]
pub struct GrpcMethods {
    /// Numbers of methods by the hash of their name; a slot that is taken sends on to the next.
    /// Always twice as many slots as names, so that a search ends soon.
    by_hash: Vec<Option<usize>>,
    /// Name and visibility; the last one is `_OTHER`.
    methods: Vec<(RootName, Visibility)>,
    /// The methods known to answer with one message.
    unary: Vec<bool>,
}

impl GrpcMethods {
    /// Takes full names, `package.Service/Method`.
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut methods: Vec<_> = names
            .into_iter()
            .map(|name| (RootName::new(intern(name.as_ref())), Visibility::Span))
            .collect();
        methods.sort_unstable_by_key(|(name, _)| name.text);
        methods.dedup();
        methods.push((RootName::new(OTHER), Visibility::Span));
        let mut by_hash = vec![None; (2 * methods.len()).next_power_of_two()];
        for (index, (name, _)) in methods.iter().enumerate() {
            let mut slot = quick_hash_of_end(name.text.as_bytes()) as usize & (by_hash.len() - 1);
            while by_hash[slot].is_some() {
                slot = (slot + 1) & (by_hash.len() - 1);
            }
            by_hash[slot] = Some(index);
        }
        let unary = vec![false; methods.len()];
        Self { by_hash, methods, unary }
    }

    /// Takes every method of a compiled descriptor set, as generated code embeds it for
    /// reflection. Fails if the bytes are none.
    pub fn from_descriptors(encoded: &[u8]) -> Result<Self, prost::DecodeError> {
        let set = FileDescriptorSet::decode(encoded)?;
        let names = set.file.iter().flat_map(|file| {
            file.service.iter().flat_map(|service| {
                let dot = if file.package().is_empty() { "" } else { "." };
                let prefix = format!("{}{dot}{}", file.package(), service.name());
                service.method.iter().map(move |method| {
                    (format!("{prefix}/{}", method.name()), method.server_streaming())
                })
            })
        });
        let mut this = Self::new(names.clone().map(|(name, _)| name));
        for (name, streams) in names {
            if let Some(index) = this.number(&name) {
                this.unary[index] = !streams;
            }
        }
        Ok(this)
    }

    /// Sets what calls of the method, named in full or by its last part, leave behind. A name that
    /// is not there changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, visibility: Visibility) -> Self {
        for (method, shown) in &mut self.methods {
            let last = method.text.rsplit('/').next();
            if method.text == name || last == Some(name) {
                *shown = visibility;
            }
        }
        self
    }

    /// How many names there are, `_OTHER` among them.
    pub(super) fn len(&self) -> usize {
        self.methods.len()
    }

    /// The name of a method by its number.
    pub(super) fn name(&self, index: usize) -> &'static str {
        self.root(index).text
    }

    /// The same with what is known of it as the name of roots.
    pub(super) fn root(&self, index: usize) -> RootName {
        self.methods[index].0
    }

    /// Whether the method is known to answer with one message.
    pub(super) fn is_unary(&self, index: usize) -> bool {
        self.unary[index]
    }

    /// The method of a request's path: its number and what is shown of it.
    #[inline]
    pub(super) fn find(&self, path: &str) -> (usize, Visibility) {
        let other = self.methods.len() - 1;
        match path.strip_prefix('/').and_then(|name| self.number(name)) {
            Some(index) if index != other => (index, self.methods[index].1),
            _ if HIDDEN_PACKAGES.iter().any(|package| path.starts_with(package)) => {
                (other, Visibility::Hidden)
            }
            _ => (other, self.methods[other].1),
        }
    }

    #[inline]
    fn number(&self, name: &str) -> Option<usize> {
        let last = self.by_hash.len() - 1;
        let mut slot = quick_hash_of_end(name.as_bytes()) as usize & last;
        while let Some(index) = self.by_hash[slot] {
            if is_same(self.methods[index].0.text.as_bytes(), name.as_bytes()) {
                return Some(index);
            }
            slot = (slot + 1) & last;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_methods_share_a_name_and_probes_are_hidden() {
        let methods = GrpcMethods::new(["a.v1.S/Run", "a.v1.S/Watch"])
            .with("Watch", Visibility::DurationOnly)
            .with("a.v1.S/Absent", Visibility::Hidden);
        for (path, name, visibility) in [
            ("/a.v1.S/Run", "a.v1.S/Run", Visibility::Span),
            ("/a.v1.S/Watch", "a.v1.S/Watch", Visibility::DurationOnly),
            ("/a.v1.S/Other", "_OTHER", Visibility::Span),
            ("/wp-login.php", "_OTHER", Visibility::Span),
            ("/_OTHER", "_OTHER", Visibility::Span),
            ("a.v1.S/Run", "_OTHER", Visibility::Span),
            ("", "_OTHER", Visibility::Span),
            ("/grpc.health.v1.Health/Check", "_OTHER", Visibility::Hidden),
            ("/grpc.reflection.v1.ServerReflection/X", "_OTHER", Visibility::Hidden),
        ] {
            let (found, shown) = methods.find(path);
            assert_eq!((methods.name(found), shown), (name, visibility), "{path}");
        }
    }

    #[test]
    fn every_method_of_a_descriptor_set_is_known() {
        let method = |name: &str| prost_types::MethodDescriptorProto {
            name: Some(name.to_owned()),
            ..Default::default()
        };
        let file = prost_types::FileDescriptorProto {
            package: Some("a.v1".to_owned()),
            service: vec![prost_types::ServiceDescriptorProto {
                name: Some("S".to_owned()),
                method: vec![method("One"), method("Two")],
                ..Default::default()
            }],
            ..Default::default()
        };
        let encoded = FileDescriptorSet { file: vec![file] }.encode_to_vec();
        let methods = GrpcMethods::from_descriptors(&encoded).expect("a descriptor set");
        assert_eq!(methods.name(methods.find("/a.v1.S/Two").0), "a.v1.S/Two");
        assert_eq!(methods.len(), 3);
        assert!(GrpcMethods::from_descriptors(b"\xff").is_err());
    }
}
