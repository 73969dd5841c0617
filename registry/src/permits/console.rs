//! The same set-up as steps for a person in the console.

use super::{Facts, Permits};

pub(super) fn steps(facts: &Facts, permits: &Permits) -> String {
    let Facts { principal, external_id, role, .. } = facts;
    let names: Vec<String> = permits.policies.iter().map(|policy| format!("{role}-{}", policy.number)).collect();
    let mut steps = Vec::new();
    for (policy, name) in permits.policies.iter().zip(&names) {
        steps.push(format!(
            "Open IAM, Policies, Create policy, JSON. Replace what is there with this, choose Next, call it `{name}`, and create it:\n\n{}",
            policy.json()
        ));
    }
    steps.push(format!(
        "Open IAM, Roles, Create role. Choose Custom trust policy, and replace what is there with this:\n\n{}",
        crate::text::json_file(&facts.trust())
    ));
    let managed = permits.base.managed().map(str::to_owned);
    let attach: Vec<String> = managed.into_iter().chain(names).map(|name| format!("`{name}`")).collect();
    steps.push(format!("Choose Next and tick {}. Tick nothing else.", attach.join(", ")));
    steps.push(format!("Choose Next, call the role `{role}`, and create it."));
    steps.push("Open the role and copy its ARN: it is what the instance's credential asks for.".to_owned());
    let head = format!(
        "The role `{role}` lets {principal} read this account, with the external id {external_id} and no other way.\n"
    );
    let steps = steps.iter().zip(1..).map(|(step, number)| format!("\n{number}. {}\n", step.trim_end()));
    std::iter::once(head).chain(steps).collect()
}
