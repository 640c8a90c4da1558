//! Query parameters, each read once and none ignored.

use axum::extract::rejection::QueryRejection;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::problem::Problem;

/// Parameters that one request may have.
const PARAMETERS_MAX: usize = 256;

/// The parameters of a request that nobody has asked for yet.
#[derive(Debug)]
pub struct Parameters(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let Query(parameters) = query.map_err(|error: QueryRejection| {
            Problem::invalid(format!("the query cannot be read: {}", error.body_text()))
        })?;
        if parameters.len() > PARAMETERS_MAX {
            return Err(Problem::invalid(format!("more than {PARAMETERS_MAX} parameters")));
        }
        Ok(Self(parameters))
    }
}

impl Parameters {
    /// Every value of a parameter that may be repeated.
    pub fn all(&mut self, name: &str) -> Vec<String> {
        let mut values = Vec::new();
        self.0.retain_mut(|(key, value)| {
            let wanted = key == name;
            if wanted {
                values.push(std::mem::take(value));
            }
            !wanted
        });
        values
    }

    /// The value of a parameter that may be given once.
    ///
    /// # Errors
    /// When it is given more often.
    pub fn one(&mut self, name: &str) -> Result<Option<String>, Problem> {
        let mut values = self.all(name);
        if values.len() > 1 {
            return Err(Problem::invalid(format!("{name} is given {} times", values.len())));
        }
        Ok(values.pop())
    }

    /// The same, read as something.
    ///
    /// # Errors
    /// When it is given more often, or cannot be read.
    pub fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, Problem>
    where
        T: std::str::FromStr,
        T::Err: std::fmt::Display,
    {
        let Some(text) = self.one(name)? else { return Ok(None) };
        let error = |error: T::Err| Problem::invalid(format!("{name}: {error}"));
        text.parse().map(Some).map_err(error)
    }

    /// Refuses what nobody asked for.
    ///
    /// # Errors
    /// When a parameter is left.
    pub fn finish(self) -> Result<(), Problem> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                let name: String = name.chars().take(64).collect();
                Err(Problem::invalid(format!("{name:?} is not a parameter of this route")))
            }
        }
    }
}
