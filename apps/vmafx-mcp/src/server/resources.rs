//! What can be read: the models, how to judge a score, jobs, and per-frame values a page at a time.

use engine::{LIBVMAF_VERSION, Model, builtin_models};
use proto::rpc::GetFrames;
use rmcp::model::{
    CacheScope, ErrorData, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use serde_json::{Value, json};
use types::{FrameTable, JobId};

use crate::error::ToolError;
use crate::platform::Platform;
use crate::tools::{self, FRAMES_TEMPLATE, JOB_TEMPLATE, JobOut, frames_uri};

/// Frames of one page where nothing is said.
const PAGE_DEFAULT: u64 = 100;
/// Frames of one page at most.
const PAGE_MAX: u64 = 1_000;
/// Columns that one read may name.
const COLUMNS_MAX: usize = 64;

const MODELS_URI: &str = "vmafx://models";
const GUIDE_URI: &str = "vmafx://guide";
const JOBS_PREFIX: &str = "vmafx://jobs/";

/// How to judge a score.
const GUIDE: &str = include_str!("guide.md");

/// The resources there always are.
pub(super) fn list() -> Vec<Resource> {
    vec![
        Resource::new(GUIDE_URI, "guide")
            .with_title("How to judge a VMAF result")
            .with_description("What scores mean, what makes them wrong, and how to report them")
            .with_mime_type("text/markdown"),
        Resource::new(MODELS_URI, "models")
            .with_title("Built-in models")
            .with_description("Every model that is compiled in, with its SHA-256")
            .with_mime_type("application/json"),
    ]
}

/// The resources that every job has.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    vec![
        ResourceTemplate::new(JOB_TEMPLATE, "job")
            .with_title("A job")
            .with_description("Where a job stands, and its scores")
            .with_mime_type("application/json"),
        ResourceTemplate::new(FRAMES_TEMPLATE, "frames")
            .with_title("Per-frame values")
            .with_description(
                "Scores and features by frame: count frames (100, at most 1000) from frame `from` on, \
                 all columns or those named, separated by commas; `next` is the following page",
            )
            .with_mime_type("application/json"),
    ]
}

/// Reads one.
pub(super) async fn read(platform: &Platform, uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let never_changes = |contents| {
        ReadResourceResult::new(vec![contents])
            .with_ttl_ms(super::LISTS_FRESH_MILLIS)
            .with_cache_scope(CacheScope::Public)
    };
    if uri == GUIDE_URI {
        return Ok(never_changes(
            ResourceContents::text(GUIDE, uri).with_mime_type("text/markdown"),
        ));
    }
    if uri == MODELS_URI {
        return Ok(never_changes(contents(uri, &models())));
    }
    let rest = uri.strip_prefix(JOBS_PREFIX).ok_or_else(|| not_found(uri))?;
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (id, what) = path.split_once('/').unwrap_or((path, ""));
    let id: JobId = id.parse().map_err(|_| not_found(uri))?;
    let value = match what {
        "" => job(platform, id).await,
        "frames" => frames(platform, Page::parse(id, query)?).await,
        _ => return Err(not_found(uri)),
    };
    let value = value.map_err(|error| match error.kind {
        "JOB_NOT_FOUND" | "not_found" => not_found(uri),
        "INVALID_ARGUMENT" | "invalid_argument" | "NOT_READY" => {
            ErrorData::invalid_params(format!("{} {}", error.message, error.hint), None)
        }
        _ => ErrorData::internal_error(format!("{}: {}", error.kind, error.message), None),
    })?;
    Ok(ReadResourceResult::new(vec![contents(uri, &value)]).with_cache_scope(CacheScope::Private))
}

fn contents(uri: &str, value: &Value) -> ResourceContents {
    ResourceContents::text(value.to_string(), uri).with_mime_type("application/json")
}

fn not_found(uri: &str) -> ErrorData {
    let shown: String = uri.chars().take(256).collect();
    ErrorData::resource_not_found(
        format!("there is no resource {shown:?}"),
        Some(json!({"uri": shown})),
    )
}

fn models() -> Value {
    let sha256 = |version| Model::builtin(version).map(|model| model.sha256().to_owned()).ok();
    let models: Vec<Value> = builtin_models()
        .iter()
        .map(|model| {
            json!({
                "version": model.version,
                "description": model.description,
                "sha256": sha256(model.version),
            })
        })
        .collect();
    json!({"scores_equal_libvmaf": LIBVMAF_VERSION, "models": models})
}

async fn job(platform: &Platform, id: JobId) -> Result<Value, ToolError> {
    let job = match platform.tunes.view(id) {
        Some(run) => tools::tune::view(&run),
        None => JobOut::from(&platform.jobs.job(id).await?),
    };
    serde_json::to_value(job).map_err(|error| ToolError::internal(error.to_string()))
}

/// Which frames are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Page {
    job: JobId,
    distorted_index: usize,
    from: u64,
    count: u64,
    columns: Vec<String>,
}

impl Page {
    /// Reads the query of a frames URI; what is not known is refused.
    fn parse(job: JobId, query: &str) -> Result<Self, ErrorData> {
        let bad = |what: String| ErrorData::invalid_params(what, None);
        let mut page =
            Self { job, distorted_index: 0, from: 0, count: PAGE_DEFAULT, columns: Vec::new() };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Templates are filled in with escapes, such as that of a comma.
            let value = unescaped(value)
                .ok_or_else(|| bad(format!("{name}={value:?} has escapes that are no text")))?;
            let number =
                || value.parse::<u64>().map_err(|_| bad(format!("{name}={value:?} is no number")));
            match name {
                "distorted_index" => {
                    page.distorted_index = usize::try_from(number()?).unwrap_or(usize::MAX);
                }
                "from" => page.from = number()?,
                "count" => page.count = number()?.clamp(1, PAGE_MAX),
                "columns" => page.columns = value.split(',').map(str::to_owned).collect(),
                _ => return Err(bad(format!("{name:?} is no parameter of {FRAMES_TEMPLATE}"))),
            }
        }
        if page.columns.len() > COLUMNS_MAX {
            return Err(bad(format!("at most {COLUMNS_MAX} columns can be named")));
        }
        Ok(page)
    }
}

/// A text without its percent escapes; `None` where they are none, or no UTF-8.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(bytes).ok()
}

async fn frames(platform: &Platform, page: Page) -> Result<Value, ToolError> {
    let job = platform.jobs.job(page.job).await?;
    // A subsampled result has every Nth frame only. One more than is shown tells of a next page.
    let every = u64::from(job.spec.subsample_interval.get());
    let get = GetFrames {
        job: page.job,
        distorted_index: page.distorted_index,
        first_frame_index: page.from,
        frame_count_max: Some((page.count + 1).saturating_mul(every)),
        columns: page.columns.clone(),
    };
    let table = platform.jobs.frames(get).await?;
    Ok(page_json(&page, &table, usize::try_from(page.count).unwrap_or(usize::MAX)))
}

fn page_json(page: &Page, table: &FrameTable, limit: usize) -> Value {
    let shown = table.frame_count().min(limit);
    let next = table.frame_indices.get(limit).map(|from| {
        let mut uri = frames_uri(page.job, page.distorted_index, *from);
        uri.push_str(&format!("&count={}", page.count));
        if !page.columns.is_empty() {
            uri.push_str(&format!("&columns={}", page.columns.join(",")));
        }
        uri
    });
    let rows: Vec<Value> = (0..shown)
        .map(|row| {
            let mut cells = vec![json!(table.frame_indices[row])];
            // A NaN, which JSON has no word for, is null.
            cells.extend(table.columns.iter().map(|column| json!(column.values[row])));
            Value::Array(cells)
        })
        .collect();
    let columns: Vec<&str> = std::iter::once("frame_index")
        .chain(table.columns.iter().map(|column| column.name.as_str()))
        .collect();
    json!({
        "job_id": page.job.to_string(),
        "distorted_index": page.distorted_index,
        "columns": columns,
        "rows": rows,
        "next": next,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use types::Column;

    fn id() -> JobId {
        JobId::from_bytes([7; 16])
    }

    #[test]
    fn a_page_is_read_from_its_uri_and_nothing_is_ignored() {
        let page = Page::parse(id(), "distorted_index=2&from=40&count=9999&columns=vmaf,adm");
        let expected = Page {
            job: id(),
            distorted_index: 2,
            from: 40,
            count: PAGE_MAX,
            columns: vec!["vmaf".to_owned(), "adm".to_owned()],
        };
        assert_eq!(page.expect("good"), expected);
        let escaped = Page::parse(id(), "columns=vmaf%2Cadm").expect("good");
        assert_eq!(escaped.columns, ["vmaf", "adm"]);
        assert_eq!(Page::parse(id(), "").expect("good").count, PAGE_DEFAULT);
        for bad in
            ["columns=%2", "columns=%+1", "columns=%ff", "from=-1", "from=x", "colums=vmaf", "from"]
        {
            assert!(Page::parse(id(), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pages_follow_each_other_without_gap_or_overlap() {
        let table = FrameTable {
            frame_indices: vec![0, 5, 10],
            columns: vec![Column { name: "vmaf".to_owned(), values: vec![90.0, f64::NAN, 80.0] }],
        };
        let page = Page { count: 2, ..Page::parse(id(), "").expect("good") };
        let value = page_json(&page, &table, 2);
        assert_eq!(value["columns"], json!(["frame_index", "vmaf"]));
        assert_eq!(value["rows"], json!([[0, 90.0], [5, null]]));
        let next = value["next"].as_str().expect("a next page");
        assert!(next.ends_with("frames?distorted_index=0&from=10&count=2"), "{next}");
        assert_eq!(page_json(&page, &table, 3)["next"], Value::Null);
    }
}
