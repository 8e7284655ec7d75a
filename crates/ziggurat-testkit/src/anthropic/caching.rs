//! What Anthropic refuses about cache markers.

use super::{
    error::Fault,
    fields::{Field, Members},
};

const MOST_MARKS: usize = 4;

/// A marker for an hour, or for five minutes.
struct Mark {
    path: String,
    long: bool,
}

pub(super) fn check(top: &Members<'_>) -> Result<(), Fault> {
    let mut marks = Vec::new();
    // In the order in which the prefix is hashed.
    for name in ["tools", "system"] {
        if let Some(field) = top.get(name).filter(|field| field.value.is_array()) {
            for item in field.items()? {
                take(&mut marks, &item)?;
            }
        }
    }
    for message in top.need("messages")?.items()? {
        let content =
            Field { path: message.path.clone() + ".content", value: &message.value["content"] };
        if !content.value.is_array() {
            continue;
        }
        for block in content.items()? {
            let inner = &block.value["content"];
            let nested = block.value["type"] == "tool_result" && inner.is_array();
            if nested {
                let path = format!("{}.tool_result.content", block.path);
                for item in (Field { path, value: inner }).items()? {
                    take(&mut marks, &item)?;
                }
            }
            take(&mut marks, &block)?;
        }
    }
    if let Some(field) = top.nullable("cache_control") {
        marks.push(mark(&field)?);
    }
    if marks.len() > MOST_MARKS {
        let message = format!(
            "A maximum of {MOST_MARKS} blocks with cache_control may be provided. Found {}.",
            marks.len()
        );
        return Err(Fault::invalid(message));
    }
    let short = marks.iter().position(|mark| !mark.long).unwrap_or(marks.len());
    match marks[short..].iter().find(|mark| mark.long) {
        Some(late) => {
            let what = "a ttl='1h' cache_control block must not come after a ttl='5m' \
                        cache_control block. Note that blocks are processed in the following \
                        order: `tools`, `system`, `messages`.";
            Err(Fault::at(&format!("{}.ttl", late.path), what))
        }
        None => Ok(()),
    }
}

fn take(marks: &mut Vec<Mark>, item: &Field<'_>) -> Result<(), Fault> {
    let value = &item.value["cache_control"];
    if value.is_null() {
        return Ok(());
    }
    if item.value["type"] == "text" && item.value["text"] == "" {
        return Err(item.fault("cache_control cannot be set for empty text blocks"));
    }
    let tag = item.value["type"].as_str().unwrap_or("custom");
    marks.push(mark(&Field { path: format!("{}.{tag}.cache_control", item.path), value })?);
    Ok(())
}

fn mark(field: &Field<'_>) -> Result<Mark, Fault> {
    let mark = field.object()?;
    mark.only(&["type", "ttl"])?;
    mark.need("type")?.one_of(&["ephemeral"])?;
    let ttl = mark.nullable("ttl").map(|ttl| ttl.one_of(&["5m", "1h"])).transpose()?;
    Ok(Mark { path: field.path.clone(), long: ttl == Some("1h") })
}
