//! Who we are: `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES` and what the process knows itself.

use super::{Env, shown};
use crate::ids::new_instance_id;
use crate::schema::attr;

/// The attributes that stand for this process on everything it exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourceConfig {
    attributes: Vec<(String, String)>,
}

impl ResourceConfig {
    /// What the process knows itself.
    #[must_use]
    pub fn new(service_name: &str) -> Self {
        let mut resource = Self { attributes: Vec::new() };
        resource.set(attr::SERVICE_NAME, service_name);
        resource.set(attr::SERVICE_VERSION, env!("CARGO_PKG_VERSION"));
        resource.set(attr::SERVICE_INSTANCE_ID, new_instance_id());
        resource.set(attr::PROCESS_PID, std::process::id().to_string());
        resource.set(attr::TELEMETRY_SDK_NAME, "vmafx-observability");
        resource.set(attr::TELEMETRY_SDK_LANGUAGE, "rust");
        resource.set(attr::TELEMETRY_SDK_VERSION, env!("CARGO_PKG_VERSION"));
        resource
    }

    /// Sets an attribute, replacing an earlier value.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        match self.attributes.iter_mut().find(|(have, _)| have == key) {
            Some((_, old)) => *old = value.into(),
            None => self.attributes.push((key.to_owned(), value.into())),
        }
    }

    /// An attribute's value.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(have, _)| have == key).map(|(_, value)| value.as_str())
    }

    /// All attributes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

/// The service's name comes from its own variable, else from the attributes, else from the binary.
pub(super) fn read(env: &mut Env<'_>, service_name: &str) -> ResourceConfig {
    let mut resource = ResourceConfig::new(service_name);
    if let Some(list) = env.get("OTEL_RESOURCE_ATTRIBUTES") {
        match parse_list(&list) {
            Some(pairs) => pairs.into_iter().for_each(|(key, value)| resource.set(&key, value)),
            // One bad entry discards the whole value: the specification's rule.
            None => env.warn(format_args!(
                "OTEL_RESOURCE_ATTRIBUTES={} is not a list of key=value; ignored",
                shown(&list)
            )),
        }
    }
    if let Some(name) = env.get("OTEL_SERVICE_NAME") {
        resource.set(attr::SERVICE_NAME, name);
    }
    resource
}

/// Reads `key=value,key=value` with percent-encoded values; `None` where it is malformed.
pub(super) fn parse_list(list: &str) -> Option<Vec<(String, String)>> {
    list.split(',')
        .filter(|entry| !entry.trim().is_empty())
        .map(|entry| {
            let (key, value) = entry.split_once('=')?;
            let key = percent_decoded(key.trim())?;
            (!key.is_empty()).then_some((key, percent_decoded(value.trim())?))
        })
        .collect()
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let value = digit(bytes.next()?)? << 4 | digit(bytes.next()?)?;
            decoded.push(u8::try_from(value).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}
