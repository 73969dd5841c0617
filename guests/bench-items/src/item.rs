//! An item, and the entity that it becomes: a person's account with about 633 bytes of properties, which is what the
//! entities of real directories have.

use porthole_sdk::Entity;
use serde::Deserialize;

/// An item, as far as it is read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    /// The provider's id.
    pub id: Option<u64>,
    /// The name.
    pub name: Option<String>,
    /// The name in its address.
    pub login: Option<String>,
    /// The mail address.
    pub email: Option<String>,
    /// What the person does.
    pub title: Option<String>,
    /// Where.
    pub department: Option<String>,
    /// For whose money.
    pub cost_center: Option<String>,
    /// The place.
    pub city: Option<String>,
    /// Two letters.
    pub country_code: Option<String>,
    /// As the zone database calls it.
    pub time_zone: Option<String>,
    /// The telephone.
    pub phone: Option<String>,
    /// In use, or not.
    pub status: Option<String>,
    /// The id of another item.
    pub manager_id: Option<u64>,
    /// A time.
    pub created_at: Option<String>,
    /// A time.
    pub updated_at: Option<String>,
    /// Counts changes.
    pub revision: Option<u64>,
    /// In use.
    pub active: Option<bool>,
    /// Has a second factor.
    pub mfa_enabled: Option<bool>,
    /// Names of groups.
    pub groups: Option<Vec<String>>,
    /// A few words.
    pub description: Option<String>,
    /// Where a person looks at it.
    pub web_link: Option<String>,
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
pub fn entity(entity_type: &'static str, item: &Item) -> Result<Entity, String> {
    let id = item.id.ok_or("item without id")?;
    let name = item.name.as_deref().ok_or("item without name")?;
    Ok(Entity::new(entity_type, key(entity_type, id))
        .class("Record")
        .name(name)
        .prop("name", name)
        .prop("login", item.login.as_deref())
        .prop("email", item.email.as_deref())
        .prop("title", item.title.as_deref())
        .prop("department", item.department.as_deref())
        .prop("costCenter", item.cost_center.as_deref())
        .prop("city", item.city.as_deref())
        .prop("countryCode", item.country_code.as_deref())
        .prop("timeZone", item.time_zone.as_deref())
        .prop("phone", item.phone.as_deref())
        .prop("status", item.status.as_deref())
        .prop("managerId", item.manager_id)
        .prop("createdAt", item.created_at.as_deref())
        .prop("updatedAt", item.updated_at.as_deref())
        .prop("revision", item.revision)
        .prop("active", item.active)
        .prop("mfaEnabled", item.mfa_enabled)
        .prop("groups", item.groups.clone())
        .prop("description", item.description.as_deref())
        .prop("webLink", item.web_link.as_deref()))
}

/// An item that no provider has: `number` makes it different from every other.
#[must_use]
pub fn made(number: u64) -> Item {
    let text = |text: &str| Some(text.to_owned());
    Item {
        id: Some(number),
        name: Some(format!("Made Person {number}")),
        login: Some(format!("made.person.{number}")),
        email: Some(format!("made.person.{number}@items.example")),
        title: text("Senior Reliability Engineer"),
        department: text("Platform Engineering"),
        cost_center: text("CC-4711-0815"),
        city: text("Rotterdam"),
        country_code: text("NL"),
        time_zone: text("Europe/Amsterdam"),
        phone: Some(format!("+31 10 555 {number:07}")),
        status: text("ACTIVE"),
        manager_id: Some(number / 10),
        created_at: text("2021-03-04T05:06:07.000Z"),
        updated_at: text("2026-01-02T03:04:05.000Z"),
        revision: Some(0),
        active: Some(true),
        mfa_enabled: Some(number % 3 > 0),
        groups: Some(["everyone", "engineering", "on-call-primary"].map(str::to_owned).to_vec()),
        description: text("Keeps the lights on in the second data centre and writes the reports about it"),
        web_link: Some(format!("https://items.example/people/{number}")),
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
        assert_eq!(made.get("managerId"), Some(&0.into()));
    }
}
