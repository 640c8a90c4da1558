//! The gRPC methods that a process knows, and what of them is shown.

use prost::Message as _;
use prost_types::FileDescriptorSet;

use super::intern::{OTHER, intern};
use crate::served::RootName;
use crate::text::{is_same, quick_hash_of_end};

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

/// What is known of a method.
#[derive(Debug, Clone, Copy)]
struct Method {
    /// As requests name it, with the slash before; nothing for `_OTHER`, which no path is.
    path: &'static str,
    name: RootName,
    visibility: Visibility,
    /// Whether it is known to answer with one message.
    is_unary: bool,
}

impl Method {
    fn new(name: &str) -> Self {
        let path = intern(&format!("/{name}"));
        let name = RootName::new(path.strip_prefix('/').unwrap_or(path));
        Self { path, name, visibility: Visibility::Span, is_unary: false }
    }
}

/// The methods that a server serves or a client calls. Any other is `_OTHER`.
#[derive(Debug, Clone)]
pub struct GrpcMethods {
    /// Numbers of methods by the hash of their path; a slot that is taken sends on to the next.
    /// Always twice as many slots as names, so that a search ends soon.
    by_hash: Vec<Option<usize>>,
    /// The last one is `_OTHER`, which is found by no path.
    methods: Vec<Method>,
}

impl GrpcMethods {
    /// Takes full names, `package.Service/Method`.
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut methods: Vec<_> =
            names.into_iter().map(|name| Method::new(name.as_ref())).collect();
        methods.sort_unstable_by_key(|method| method.name.text);
        methods.dedup_by_key(|method| method.name.text);
        // One that is called so is as any other.
        methods.retain(|method| method.name.text != OTHER);
        let mut by_hash = vec![None; (2 * methods.len()).next_power_of_two().max(2)];
        for (index, method) in methods.iter().enumerate() {
            let mut slot = quick_hash_of_end(method.path.as_bytes()) as usize & (by_hash.len() - 1);
            while by_hash[slot].is_some() {
                slot = (slot + 1) & (by_hash.len() - 1);
            }
            by_hash[slot] = Some(index);
        }
        methods.push(Method { path: "", ..Method::new(OTHER) });
        Self { by_hash, methods }
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
            if let Some(method) = this.methods.iter_mut().find(|method| method.name.text == name) {
                method.is_unary = !streams;
            }
        }
        Ok(this)
    }

    /// Sets what calls of the method, named in full or by its last part, leave behind. A name that
    /// is not there changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, visibility: Visibility) -> Self {
        for method in &mut self.methods {
            let full = method.name.text;
            if full == name || full.rsplit('/').next() == Some(name) {
                method.visibility = visibility;
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
    #[inline]
    pub(super) fn root(&self, index: usize) -> RootName {
        self.methods[index].name
    }

    /// Whether the method is known to answer with one message.
    #[inline]
    pub(super) fn is_unary(&self, index: usize) -> bool {
        self.methods[index].is_unary
    }

    /// The method of a request's path: its number and what is shown of it.
    #[inline]
    pub(super) fn find(&self, path: &str) -> (usize, Visibility) {
        let last = self.by_hash.len() - 1;
        let mut slot = quick_hash_of_end(path.as_bytes()) as usize & last;
        while let Some(index) = self.by_hash[slot] {
            let method = &self.methods[index];
            if is_same(method.path.as_bytes(), path.as_bytes()) {
                return (index, method.visibility);
            }
            slot = (slot + 1) & last;
        }
        self.unknown(path)
    }

    #[cold]
    fn unknown(&self, path: &str) -> (usize, Visibility) {
        let other = self.methods.len() - 1;
        if HIDDEN_PACKAGES.iter().any(|package| path.starts_with(package)) {
            return (other, Visibility::Hidden);
        }
        (other, self.methods[other].visibility)
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
