//! The gRPC methods that a process knows, and what of them is shown.

use std::collections::HashMap;
use std::sync::Arc;

use prost::Message as _;
use prost_types::FileDescriptorSet;

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

/// The name under which all unknown methods go.
const OTHER: &str = "_OTHER";

/// The methods that a server serves or a client calls. Any other is `_OTHER`.
#[derive(Debug, Clone)]
pub struct GrpcMethods {
    by_path: HashMap<String, usize>,
    /// Name and visibility; the last one is `_OTHER`.
    methods: Vec<(Arc<str>, Visibility)>,
}

impl GrpcMethods {
    /// Takes full names, `package.Service/Method`.
    pub fn new<I>(names: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut this = Self { by_path: HashMap::new(), methods: Vec::new() };
        for name in names {
            let name = name.as_ref();
            this.by_path.insert(format!("/{name}"), this.methods.len());
            this.methods.push((name.into(), Visibility::Span));
        }
        this.methods.push((OTHER.into(), Visibility::Span));
        this
    }

    /// Takes every method of a compiled descriptor set, as generated code embeds it for
    /// reflection. Fails if the bytes are none.
    pub fn from_descriptors(encoded: &[u8]) -> Result<Self, prost::DecodeError> {
        let set = FileDescriptorSet::decode(encoded)?;
        let names = set.file.iter().flat_map(|file| {
            file.service.iter().flat_map(|service| {
                let dot = if file.package().is_empty() { "" } else { "." };
                let prefix = format!("{}{dot}{}", file.package(), service.name());
                service.method.iter().map(move |method| format!("{prefix}/{}", method.name()))
            })
        });
        Ok(Self::new(names))
    }

    /// Sets what calls of the method, named in full or by its last part, leave behind. A name that
    /// is not there changes nothing.
    #[must_use]
    pub fn with(mut self, name: &str, visibility: Visibility) -> Self {
        for (method, shown) in &mut self.methods {
            let last = method.rsplit('/').next();
            if &**method == name || last == Some(name) {
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
    pub(super) fn name(&self, index: usize) -> &str {
        &self.methods[index].0
    }

    /// The method of a request's path: its number, its name, what is shown of it.
    pub(super) fn find(&self, path: &str) -> (usize, &Arc<str>, Visibility) {
        let index = self.by_path.get(path).copied();
        if index.is_none() && HIDDEN_PACKAGES.iter().any(|package| path.starts_with(package)) {
            let (name, _) = &self.methods[self.methods.len() - 1];
            return (self.methods.len() - 1, name, Visibility::Hidden);
        }
        let index = index.unwrap_or(self.methods.len() - 1);
        let (name, visibility) = &self.methods[index];
        (index, name, *visibility)
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
            ("/grpc.health.v1.Health/Check", "_OTHER", Visibility::Hidden),
            ("/grpc.reflection.v1.ServerReflection/X", "_OTHER", Visibility::Hidden),
        ] {
            let (_, found, shown) = methods.find(path);
            assert_eq!((&**found, shown), (name, visibility), "{path}");
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
        assert_eq!(&**methods.find("/a.v1.S/Two").1, "a.v1.S/Two");
        assert_eq!(methods.len(), 3);
        assert!(GrpcMethods::from_descriptors(b"\xff").is_err());
    }
}
