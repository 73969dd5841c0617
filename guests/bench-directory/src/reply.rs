//! What the directory answers, as far as it is read.

use serde::Deserialize;

/// The organisation.
#[derive(Deserialize)]
pub struct Org {
    pub id: Option<String>,
    pub name: Option<String>,
}

/// A user.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    pub id: Option<String>,
    pub status: Option<String>,
    pub created: Option<String>,
    pub activated: Option<String>,
    pub last_updated: Option<String>,
    pub password_changed: Option<String>,
    pub profile: Option<Profile>,
}

/// What a user says of itself.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub login: Option<String>,
    pub email: Option<String>,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub title: Option<String>,
    pub department: Option<String>,
    pub employee_number: Option<String>,
}

/// A group.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Group {
    pub id: Option<String>,
    pub r#type: Option<String>,
    pub created: Option<String>,
    pub profile: Option<GroupProfile>,
}

/// What a group says of itself.
#[derive(Deserialize)]
pub struct GroupProfile {
    pub name: Option<String>,
    pub description: Option<String>,
}

/// An application.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    pub id: Option<String>,
    pub label: Option<String>,
    pub status: Option<String>,
    pub sign_on_mode: Option<String>,
    pub created: Option<String>,
}

/// Whatever has an id.
#[derive(Deserialize)]
pub struct Id {
    pub id: Option<String>,
}

/// A user of an application.
#[derive(Deserialize)]
pub struct Assignment {
    pub id: Option<String>,
    pub scope: Option<String>,
    pub status: Option<String>,
}

/// A second factor.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Factor {
    pub id: Option<String>,
    pub factor_type: Option<String>,
    pub provider: Option<String>,
    pub status: Option<String>,
    pub created: Option<String>,
}

/// An administrator role that someone has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Role {
    pub id: Option<String>,
    pub r#type: Option<String>,
    pub label: Option<String>,
    pub assignment_type: Option<String>,
}
