//! Replies become objects. Pure. What an object can't be without is an error that the step counts.

use crate::reply::{App, Assignment, Factor, Group, Id, Org, Role, User};
use porthole_sdk::{Entity, Relationship};

type Missing = String;

/// The account.
pub fn account(org: &Org) -> Result<Entity, Missing> {
    let id = org.id.as_deref().ok_or("organisation without id")?;
    let name = org.name.as_deref().ok_or("organisation without name")?;
    Ok(Entity::new("dir_account", format!("dir:account:{id}")).class("Account").name(name).prop("name", name))
}

/// A user.
pub fn user(reply: &User) -> Result<Entity, Missing> {
    let id = reply.id.as_deref().ok_or("user without id")?;
    let profile = reply.profile.as_ref().ok_or("user without profile")?;
    let login = profile.login.as_deref().ok_or("user without login")?;
    let name = [profile.first_name.as_deref(), profile.last_name.as_deref()];
    let name = name.into_iter().flatten().collect::<Vec<_>>().join(" ");
    Ok(Entity::new("dir_user", format!("dir:user:{id}"))
        .class("User")
        .name(if name.is_empty() { login } else { &name })
        .prop("userId", id)
        .prop("username", login)
        .prop("email", profile.email.as_deref())
        .prop("firstName", profile.first_name.as_deref())
        .prop("lastName", profile.last_name.as_deref())
        .prop("title", profile.title.as_deref())
        .prop("department", profile.department.as_deref())
        .prop("employeeNumber", profile.employee_number.as_deref())
        .prop("status", reply.status.as_deref())
        .prop("active", reply.status.as_deref().map(|status| status == "ACTIVE"))
        .prop("createdAt", reply.created.as_deref())
        .prop("activatedAt", reply.activated.as_deref())
        .prop("updatedAt", reply.last_updated.as_deref())
        .prop("passwordChangedAt", reply.password_changed.as_deref()))
}

/// The key of a user that a list names.
pub fn user_key(reply: &Id) -> Result<String, Missing> {
    Ok(format!("dir:user:{}", reply.id.as_deref().ok_or("user without id")?))
}

/// A group.
pub fn group(reply: &Group) -> Result<Entity, Missing> {
    let id = reply.id.as_deref().ok_or("group without id")?;
    let profile = reply.profile.as_ref().ok_or("group without profile")?;
    let name = profile.name.as_deref().ok_or("group without name")?;
    Ok(Entity::new("dir_group", format!("dir:group:{id}"))
        .class("UserGroup")
        .name(name)
        .prop("groupId", id)
        .prop("name", name)
        .prop("description", profile.description.as_deref())
        .prop("kind", reply.r#type.as_deref())
        .prop("createdAt", reply.created.as_deref()))
}

/// An application.
pub fn app(reply: &App) -> Result<Entity, Missing> {
    let id = reply.id.as_deref().ok_or("application without id")?;
    let label = reply.label.as_deref().ok_or("application without label")?;
    Ok(Entity::new("dir_app", format!("dir:app:{id}"))
        .class("Application")
        .name(label)
        .prop("appId", id)
        .prop("name", label)
        .prop("status", reply.status.as_deref())
        .prop("signOnMode", reply.sign_on_mode.as_deref())
        .prop("createdAt", reply.created.as_deref()))
}

/// A user's place in an application.
pub fn assignment(app: &str, reply: &Assignment) -> Result<Relationship, Missing> {
    let user = format!("dir:user:{}", reply.id.as_deref().ok_or("assignment without id")?);
    Ok(Relationship::new("dir_user", "ASSIGNED", "dir_app", user, app)
        .prop("scope", reply.scope.as_deref())
        .prop("status", reply.status.as_deref()))
}

/// A second factor.
pub fn factor(_user: &str, reply: &Factor) -> Result<Entity, Missing> {
    let id = reply.id.as_deref().ok_or("factor without id")?;
    let kind = reply.factor_type.as_deref().ok_or("factor without type")?;
    Ok(Entity::new("dir_factor", format!("dir:factor:{id}"))
        .class("Key")
        .name(kind)
        .prop("factorType", kind)
        .prop("provider", reply.provider.as_deref())
        .prop("status", reply.status.as_deref())
        .prop("createdAt", reply.created.as_deref()))
}

/// A role of one user: what they were given, not the role as such, which has no id of its own.
pub fn role(user: &str, reply: &Role) -> Result<Entity, Missing> {
    let id = reply.id.as_deref().ok_or("role without id")?;
    let kind = reply.r#type.as_deref().ok_or("role without type")?;
    Ok(Entity::new("dir_role", format!("{user}:role:{id}"))
        .class("AccessRole")
        .name(reply.label.as_deref().unwrap_or(kind))
        .prop("roleType", kind)
        .prop("assignmentType", reply.assignment_type.as_deref()))
}
