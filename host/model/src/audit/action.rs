//! What can be done. One word each, `noun.verb`; a released word never changes its meaning.

use crate::run::{UnknownWord, text_enum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

text_enum!(
    /// What was done.
    Action {
        /// Someone asked for a run.
        RunQueued = "run.queued",
        /// A worker claimed it.
        RunStarted = "run.started",
        /// What it may do was decided: digests of plan, grant and operator's exceptions, and where the platform's log stood.
        RunPlanned = "run.planned",
        /// It would delete an unusual share and waits for a person.
        RunHeld = "run.held",
        /// A person let a held run go on.
        RunConfirmed = "run.confirmed",
        /// A person asked for its end.
        RunCancelRequested = "run.cancel-requested",
        /// It is over.
        RunFinished = "run.finished",
        /// Its worker was lost; it was ended by another.
        RunSwept = "run.swept",
        /// Calls that are about to be sent: written before they are.
        CallsBegun = "calls.begun",
        /// Calls that were refused.
        CallsDenied = "calls.denied",
        /// How calls ended.
        CallsEnded = "calls.ended",
        /// A module came into the registry.
        ModulePublished = "module.published",
        /// A publisher's signature of a module came into the registry.
        ModuleSigned = "module.signed",
        /// A person approved a module, or the operator's policy.
        ModuleApproved = "module.approved",
        /// A second person followed an emergency approval up.
        ModuleApprovalFollowedUp = "module.approval-followed-up",
        /// A module may not run any more.
        ModuleYanked = "module.yanked",
        /// A publisher's key is trusted from now on.
        PublisherAdded = "publisher.added",
        /// A publisher's key isn't trusted any more.
        PublisherEnded = "publisher.ended",
        /// A person may approve modules.
        ReviewerAdded = "reviewer.added",
        /// A person may not approve modules any more.
        ReviewerEnded = "reviewer.ended",
        /// A tenant set what an instance may do.
        GrantSet = "grant.set",
        /// A secret was stored in a slot.
        CredentialSet = "credential.set",
        /// A secret was replaced by its successor.
        CredentialRotated = "credential.rotated",
        /// A slot was emptied.
        CredentialRemoved = "credential.removed",
        /// There is a new tenant.
        TenantCreated = "tenant.created",
        /// A tenant is gone.
        TenantRemoved = "tenant.removed",
        /// There is a new instance.
        InstanceCreated = "instance.created",
        /// An instance's module, configuration or brake changed.
        InstanceChanged = "instance.changed",
        /// No more runs of an instance.
        InstanceDisabled = "instance.disabled",
        /// Runs of an instance again.
        InstanceEnabled = "instance.enabled",
        /// A tenant added a mapping rule of its own.
        MappingAdded = "mapping.added",
        /// A tenant took a mapping rule of its own away.
        MappingRemoved = "mapping.removed",
        /// A tenant switched a mapping rule on.
        MappingSwitchedOn = "mapping.switched-on",
        /// A tenant switched a mapping rule off.
        MappingSwitchedOff = "mapping.switched-off",
        /// The operator's configuration changed.
        ConfigChanged = "config.changed",
        /// There is a new key.
        KeyCreated = "key.created",
        /// A key has a successor that is used from now on.
        KeyRotated = "key.rotated",
        /// A key was wrapped anew; it is the same key.
        KeyRewrapped = "key.rewrapped",
        /// Nothing is under a key any more.
        KeyRetired = "key.retired",
        /// A key was destroyed, and what was sealed under it is unreadable.
        KeyShredded = "key.shredded",
        /// Someone of support may look.
        SupportGranted = "support.granted",
        /// And may not any more.
        SupportEnded = "support.ended",
        /// Someone took a copy of a log.
        AuditExported = "audit.exported",
        /// Someone read records.
        AuditShown = "audit.shown",
        /// Someone took the proof of a record.
        AuditProved = "audit.proved",
        /// Someone took a copy of a graph.
        GraphExported = "graph.exported",
        /// Data was deleted.
        DataDeleted = "data.deleted",
    }
);

text_enum!(
    /// What was decided about a use.
    Decision {
        /// It may happen.
        Allowed = "allowed",
        /// It may not.
        Denied = "denied",
    }
);
