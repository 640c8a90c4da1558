//! What is kept for each route of an HTTP server: names, what is shown of it, its histograms. Made
//! when a route is first seen, found again without a lock.

use std::sync::OnceLock;

use http::{Method, StatusCode};

use super::intern::{OTHER, intern};
use super::methods::Visibility;
use crate::metrics::{Histogram, LabelSet};
use crate::schema::attr;
use crate::served::RootName;
use crate::text::{is_same, quick_hash};

/// Routes that are kept; requests of further ones are measured as of none.
const ROUTES_MAX: usize = 512;
/// Histograms that are kept for a route; further ones are looked up each time.
const HISTOGRAMS_MAX: usize = 32;

const METHODS: [&str; 10] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", OTHER];

/// A known method, or the one number of all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownMethod(usize);

impl KnownMethod {
    pub(super) fn of(method: &Method) -> Self {
        Self(match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::CONNECT => 5,
            Method::OPTIONS => 6,
            Method::TRACE => 7,
            Method::PATCH => 8,
            _ => 9,
        })
    }

    pub(super) fn is_known(self) -> bool {
        self.as_str() != OTHER
    }

    pub(super) fn as_str(self) -> &'static str {
        METHODS[self.0]
    }

    /// The word for it in span names: the conventions give unknown methods this one, so that they
    /// cannot make up names.
    pub(super) fn in_names(self) -> &'static str {
        if self.is_known() { self.as_str() } else { "HTTP" }
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ending {
    pub(super) status: Option<StatusCode>,
    pub(super) is_broken: bool,
}

impl Ending {
    /// Of a request that goes on.
    pub(super) const NONE: Self = Self { status: None, is_broken: false };

    /// Why a served request failed, if it did. A body that the client left early is no failure.
    pub(super) fn error_type(self) -> Option<&'static str> {
        match self.status {
            Some(status) if status.is_server_error() => Some(status_text(status)),
            _ if self.is_broken => Some("broken_off"),
            Some(_) => None,
            None => Some("cancelled"),
        }
    }

    /// Whether it is the server's failure. A client that leaves before there is an answer is none, as in
    /// gRPC.
    pub(super) fn is_fault(self) -> bool {
        self.status.is_some() || self.is_broken
    }
}

/// The digits of a status.
pub(super) fn status_text(status: StatusCode) -> &'static str {
    static TEXTS: [OnceLock<&'static str>; 1_000] = [const { OnceLock::new() }; 1_000];
    TEXTS[usize::from(status.as_u16())].get_or_init(|| intern(status.as_str()))
}

/// One route, or all requests without one.
#[derive(Debug)]
pub(super) struct Route {
    /// The template, where there is one.
    pub(super) template: Option<&'static str>,
    pub(super) visibility: Visibility,
    names: [OnceLock<RootName>; METHODS.len()],
    durations: [OnceLock<(KnownMethod, Ending, Histogram)>; HISTOGRAMS_MAX],
}

impl Route {
    pub(super) fn new(template: Option<&'static str>, visibility: Visibility) -> Self {
        let (names, durations) = ([const { OnceLock::new() }; _], [const { OnceLock::new() }; _]);
        Self { template, visibility, names, durations }
    }

    /// The name of spans of this method.
    pub(super) fn span_name(&self, method: KnownMethod) -> RootName {
        *self.names[method.0].get_or_init(|| {
            RootName::new(match self.template {
                Some(template) => intern(&format!("{} {template}", method.in_names())),
                None => method.in_names(),
            })
        })
    }

    /// The histogram of requests of this method that ended so, made by `make` when first needed.
    pub(super) fn record(
        &self,
        method: KnownMethod,
        ending: Ending,
        make: impl Fn(LabelSet) -> Histogram,
        record: impl FnOnce(&Histogram),
    ) {
        let new = || (method, ending, make(self.labels(method, ending)));
        for slot in &self.durations {
            let (have, ended, histogram) = slot.get_or_init(new);
            if (*have, *ended) == (method, ending) {
                return record(histogram);
            }
        }
        record(&make(self.labels(method, ending)));
    }

    fn labels(&self, method: KnownMethod, ending: Ending) -> LabelSet {
        let mut labels = vec![(attr::HTTP_REQUEST_METHOD, method.as_str().into())];
        if let Some(template) = self.template {
            labels.push((attr::HTTP_ROUTE, template.into()));
        }
        if let Some(status) = ending.status {
            labels.push((attr::HTTP_RESPONSE_STATUS_CODE, status_text(status).into()));
        }
        if let Some(error_type) = ending.error_type() {
            labels.push((attr::ERROR_TYPE, error_type.into()));
        }
        labels
    }
}

/// A route by its place, so that a call need not look for it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RouteNumber(usize);

impl RouteNumber {
    /// Of all requests without a route.
    pub(super) const NONE: Self = Self(ROUTES_MAX);
}

/// The routes of a server.
#[derive(Debug)]
pub(super) struct Routes {
    /// What is shown of routes that were named before.
    pub(super) shown: Vec<(String, Visibility)>,
    by_hash: Box<[OnceLock<Route>]>,
    none: Route,
}

impl Routes {
    pub(super) fn new(shown: Vec<(String, Visibility)>) -> Self {
        let by_hash = (0..ROUTES_MAX).map(|_| OnceLock::new()).collect();
        Self { shown, by_hash, none: Route::new(None, Visibility::Span) }
    }

    /// What is shown of a route, or of a path without one.
    pub(super) fn visibility(&self, name: &str) -> Visibility {
        let found = self.shown.iter().find(|(have, _)| have == name);
        found.map_or(Visibility::Span, |(_, visibility)| *visibility)
    }

    /// The number of the route with this template.
    pub(super) fn find(&self, template: Option<&str>) -> RouteNumber {
        let Some(template) = template else { return RouteNumber::NONE };
        let start = quick_hash(template.as_bytes()) as usize;
        for step in 0..ROUTES_MAX {
            let number = start.wrapping_add(step) % ROUTES_MAX;
            let new = || Route::new(Some(intern(template)), self.visibility(template));
            let route = self.by_hash[number].get_or_init(new);
            if route.template.is_some_and(|have| is_same(have.as_bytes(), template.as_bytes())) {
                return RouteNumber(number);
            }
        }
        RouteNumber::NONE
    }

    /// The route of this number.
    pub(super) fn get(&self, number: RouteNumber) -> &Route {
        self.by_hash.get(number.0).and_then(OnceLock::get).unwrap_or(&self.none)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_is_kept_once_and_too_many_are_as_none() {
        fn of<'a>(routes: &'a Routes, template: Option<&str>) -> &'a Route {
            routes.get(routes.find(template))
        }
        let routes = Routes::new(vec![("/hidden".to_owned(), Visibility::Hidden)]);
        let get = KnownMethod::of(&Method::GET);
        let first = of(&routes, Some("/v1/jobs/{id}"));
        assert!(std::ptr::eq(first, of(&routes, Some("/v1/jobs/{id}"))));
        assert_eq!(first.span_name(get).text, "GET /v1/jobs/{id}");
        assert_eq!(of(&routes, Some("/hidden")).visibility, Visibility::Hidden);
        let templates: Vec<_> = (0..ROUTES_MAX).map(|index| format!("/r{index}/{{id}}")).collect();
        let kept = templates.iter().filter(|t| of(&routes, Some(t)).template.is_some()).count();
        assert_eq!(kept, ROUTES_MAX - 2);
        assert!(std::ptr::eq(first, of(&routes, Some("/v1/jobs/{id}"))), "still there");
        assert_eq!(of(&routes, None).span_name(KnownMethod::of(&Method::TRACE)).text, "TRACE");
    }

    #[test]
    fn unknown_methods_share_a_name() {
        let scan = Method::from_bytes(b"SCAN").expect("a method");
        let route = Route::new(None, Visibility::Span);
        assert_eq!(route.span_name(KnownMethod::of(&scan)).text, "HTTP");
        assert_eq!(KnownMethod::of(&scan).as_str(), "_OTHER");
    }
}
