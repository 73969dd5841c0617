//! The steps: one table, put together of the tables of the services.

use crate::account;
use crate::engine::Run;
use crate::spec::{Place, Step, Work};
use crate::{api, assume, attachments, config, ec2, iam, s3, services};
use porthole_sdk::{Cx, StepError, Steps};

/// Every step, in the order of the manifest.
pub fn all() -> impl Iterator<Item = &'static Step> {
    let first: &[&Step] = &[&account::STEP];
    let permissions: &[&Step] = &[&attachments::STEP, &assume::STEP];
    let base = [first, iam::STEPS, permissions, ec2::STEPS, api::STEPS, s3::STEPS, config::STEPS];
    base.into_iter().chain(services::STEPS.iter().copied()).flatten().copied()
}

/// The AWS integration.
pub struct Aws;

impl Steps for Aws {
    fn run(&self, cx: &Cx<'_>, step: &str, partition: &str) -> Result<(), StepError> {
        let step = find(step)?;
        let is_first = step.id == account::STEP.id;
        let names = if is_first { crate::path::Names::default() } else { account::names(cx, partition)? };
        if step.place == Place::Commercial && names.partition != "aws" {
            cx.info("this partition of AWS doesn't have the service");
            return Ok(());
        }
        let run = Run::new(cx, names);
        match &step.work {
            Work::Table(table) => run.table(table)?,
            Work::Code(code) => (code.run)(&run)?,
        }
        run.finish()
    }

    fn partitions(&self, cx: &Cx<'_>, step: &str) -> Result<Vec<String>, StepError> {
        match find(step)?.place {
            Place::Regions => account::regions(cx),
            Place::Some(with) => {
                Ok(account::regions(cx)?.into_iter().filter(|region| with.contains(&region.as_str())).collect())
            }
            Place::Account | Place::Commercial => Err(StepError::not_partitioned(step)),
        }
    }
}

fn find(id: &str) -> Result<&'static Step, StepError> {
    all().find(|step| step.id == id).ok_or_else(|| StepError::unknown_step(id))
}
