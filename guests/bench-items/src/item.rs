//! An item, and the entity that it becomes: a person's account with about 633 bytes of properties, which is what the
//! entities of real directories have.

use porthole_sdk::{Entity, Text};
use serde::Deserialize;

/// An item, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item<'a> {
    /// The provider's id.
    pub id: Option<u64>,
    /// The name.
    #[serde(borrow)]
    pub name: Option<Text<'a>>,
    /// The name in its address.
    #[serde(borrow)]
    pub login: Option<Text<'a>>,
    /// The mail address.
    #[serde(borrow)]
    pub email: Option<Text<'a>>,
    /// What the person does.
    #[serde(borrow)]
    pub title: Option<Text<'a>>,
    /// Where.
    #[serde(borrow)]
    pub department: Option<Text<'a>>,
    /// For whose money.
    #[serde(borrow)]
    pub cost_center: Option<Text<'a>>,
    /// The place.
    #[serde(borrow)]
    pub city: Option<Text<'a>>,
    /// Two letters.
    #[serde(borrow)]
    pub country_code: Option<Text<'a>>,
    /// As the zone database calls it.
    #[serde(borrow)]
    pub time_zone: Option<Text<'a>>,
    /// The telephone.
    #[serde(borrow)]
    pub phone: Option<Text<'a>>,
    /// In use, or not.
    #[serde(borrow)]
    pub status: Option<Text<'a>>,
    /// The id of another item.
    pub manager_id: Option<u64>,
    /// A time.
    #[serde(borrow)]
    pub created_at: Option<Text<'a>>,
    /// A time.
    #[serde(borrow)]
    pub updated_at: Option<Text<'a>>,
    /// Counts changes.
    pub revision: Option<u64>,
    /// In use.
    pub active: Option<bool>,
    /// Has a second factor.
    pub mfa_enabled: Option<bool>,
    /// Names of groups.
    #[serde(borrow)]
    pub groups: Option<Vec<Text<'a>>>,
    /// A few words.
    #[serde(borrow)]
    pub description: Option<Text<'a>>,
    /// Where a person looks at it.
    #[serde(borrow)]
    pub web_link: Option<Text<'a>>,
}

/// The key of an item's entity.
#[must_use]
pub fn key(entity_type: &str, id: u64) -> String {
    format!("{entity_type}:{id}")
}

/// Makes an entity of an item.
///
/// # Errors
/// When it has no id or no name.
pub fn entity(entity_type: &'static str, item: &Item<'_>) -> Result<Entity, String> {
    let id = item.id.ok_or("item without id")?;
    let name = item.name.as_deref().ok_or("item without name")?;
    Ok(Entity::new(entity_type, key(entity_type, id))
        .class("Record")
        .name(name)
        .prop("name", name)
        .prop("login", item.login.as_ref())
        .prop("email", item.email.as_ref())
        .prop("title", item.title.as_ref())
        .prop("department", item.department.as_ref())
        .prop("costCenter", item.cost_center.as_ref())
        .prop("city", item.city.as_ref())
        .prop("countryCode", item.country_code.as_ref())
        .prop("timeZone", item.time_zone.as_ref())
        .prop("phone", item.phone.as_ref())
        .prop("status", item.status.as_ref())
        .prop("managerId", item.manager_id)
        .prop("createdAt", item.created_at.as_ref())
        .prop("updatedAt", item.updated_at.as_ref())
        .prop("revision", item.revision)
        .prop("active", item.active)
        .prop("mfaEnabled", item.mfa_enabled)
        .prop("groups", item.groups.as_ref())
        .prop("description", item.description.as_ref())
        .prop("webLink", item.web_link.as_ref()))
}

/// An item that no provider has: `number` makes it different from every other.
#[must_use]
pub fn made(number: u64) -> Item<'static> {
    let text = |text: &'static str| Some(text.into());
    Item {
        id: Some(number),
        name: Some(format!("Made Person {number}").into()),
        login: Some(format!("made.person.{number}").into()),
        email: Some(format!("made.person.{number}@items.example").into()),
        title: text("Senior Reliability Engineer"),
        department: text("Platform Engineering"),
        cost_center: text("CC-4711-0815"),
        city: text("Rotterdam"),
        country_code: text("NL"),
        time_zone: text("Europe/Amsterdam"),
        phone: Some(format!("+31 10 555 {number:07}").into()),
        status: text("ACTIVE"),
        manager_id: Some(number / 10),
        created_at: text("2021-03-04T05:06:07.000Z"),
        updated_at: text("2026-01-02T03:04:05.000Z"),
        revision: Some(0),
        active: Some(true),
        mfa_enabled: Some(!number.is_multiple_of(3)),
        groups: Some(["everyone", "engineering", "on-call-primary"].map(Text::from).to_vec()),
        description: text("Keeps the lights on in the second data centre and writes the reports about it"),
        web_link: Some(format!("https://items.example/people/{number}").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn an_item_without_id_is_no_entity() {
        assert!(entity("t", &Item::default()).is_err());
        let made = entity("t", &made(7)).unwrap();
        assert_eq!(made.key(), "t:7");
        assert_eq!(made.get("managerId"), Some(0.into()));
    }
}
