//! Values of flags, as people write them.

use types::{Encoder, ModelRef};

pub(crate) fn parse_option(text: &str) -> Result<(String, String), String> {
    let (name, value) =
        text.split_once('=').ok_or_else(|| format!("{text:?} is not NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

pub(crate) fn parse_range(text: &str) -> Result<(i32, i32), String> {
    let error = || format!("{text:?} is not a range such as 18..40");
    let (from, to) = text.split_once("..").ok_or_else(error)?;
    let (from, to) = (from.parse().map_err(|_| error())?, to.parse().map_err(|_| error())?);
    if from <= to { Ok((from, to)) } else { Err(error()) }
}

pub(crate) fn parse_encoder(text: &str) -> Result<(Encoder, Option<String>), String> {
    match text.split_once(':') {
        Some((encoder, preset)) => Ok((encoder.parse()?, Some(preset.to_owned()))),
        None => Ok((text.parse()?, None)),
    }
}

pub(crate) fn parse_model(text: &str) -> Result<ModelRef, String> {
    Ok(match text.strip_prefix("path=") {
        Some(path) => ModelRef::Path(path.to_owned()),
        None => ModelRef::Version(text.to_owned()),
    })
}
