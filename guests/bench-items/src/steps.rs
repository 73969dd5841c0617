//! The steps of `manifest.toml`.

use crate::item::{self, Item};
use porthole_sdk::{Call, Cx, Entity, Relationship, Skipped, StepError, Steps};

/// The type of a part.
const PART: &str = "bench_part";
/// The type of an item.
const ITEM: &str = "bench_item";
/// The type of an item that no provider has.
pub const MADE: &str = "bench_made";

/// See the crate's documentation.
pub struct Items;

impl Steps for Items {
    fn run(&self, cx: &Cx<'_>, step: &str, partition: &str) -> Result<(), StepError> {
        match step {
            "parts" => parts(cx),
            "items" => items(cx, partition),
            "made" => made(cx),
            _ => Err(StepError::unknown_step(step)),
        }
    }

    fn partitions(&self, cx: &Cx<'_>, step: &str) -> Result<Vec<String>, StepError> {
        match step {
            "items" => list_parts(cx),
            _ => Err(StepError::not_partitioned(step)),
        }
    }
}

fn list_parts(cx: &Cx<'_>) -> Result<Vec<String>, StepError> {
    cx.call(Call::new("list-parts"))?.list()
}

fn part_key(part: &str) -> String {
    format!("{PART}:{part}")
}

fn parts(cx: &Cx<'_>) -> Result<(), StepError> {
    let mut out = cx.emitter();
    for part in list_parts(cx)? {
        out.entity(Entity::new(PART, part_key(&part)).class("Record").name(&part).prop("name", part))?;
    }
    Ok(out.finish()?)
}

fn items(cx: &Cx<'_>, part: &str) -> Result<(), StepError> {
    let links = cx.config("links")? == "yes";
    let part_key = part_key(part);
    let (mut out, mut skipped) = (cx.emitter(), Skipped::default());
    for page in cx.pages(Call::new("list-items").arg("part", part)) {
        for reply in page?.list::<Item<'_>>()? {
            let Some(item) = skipped.unless(item::entity(ITEM, &reply)) else { continue };
            if links {
                out.relationship(Relationship::new(PART, "HAS", ITEM, &part_key, item.key()))?;
            }
            out.entity(item)?;
        }
        cx.progress(out.objects(), None);
    }
    out.finish()?;
    skipped.finish()
}

fn made(cx: &Cx<'_>) -> Result<(), StepError> {
    let bad = |_| StepError::Config("`made` is no number".to_owned());
    let count: u64 = cx.config("made")?.parse().map_err(bad)?;
    let mut out = cx.emitter();
    for number in 0..count {
        out.entity(item::entity(MADE, &item::made(number)).map_err(StepError::Unexpected)?)?;
    }
    Ok(out.finish()?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;
    use porthole_sdk::testing::MemoryHost;
    use serde_json::json;

    #[test]
    fn each_item_of_each_page_becomes_an_entity_that_hangs_on_its_part() {
        let item = |id: u64| json!({ "id": id, "name": format!("item {id}"), "groups": ["a"], "more": {} });
        let host = MemoryHost::new().config(json!({ "links": "yes", "made": "3" })).pages(
            "list-items",
            &[("part", "a")],
            [json!([item(1), item(2)]), json!([item(3)])],
        );
        host.run(&Items, "items", "a").unwrap();
        assert_eq!(host.entities(ITEM).len(), 3);
        assert_eq!(host.relationships("bench_part_has_bench_item").len(), 3);
        assert_eq!(host.unfollowed_pages(), 0);
        host.run(&Items, "made", "").unwrap();
        assert_eq!(host.entities(MADE).len(), 3);
    }
}
