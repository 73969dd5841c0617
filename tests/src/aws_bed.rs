//! The AWS test bed: an emulator behind a layer that checks signatures, roles, session policies and pages, in a process of
//! its own.
//!
//! `scripts/aws-emulator.sh DIR` installs what it needs into a folder outside the checkout; `tests/aws` is what it runs. What
//! a collector has to find in it is told by an oracle that knows nothing of the collector.

use crate::recordings::{installed, not_installed};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Names the folder that `scripts/aws-emulator.sh` filled, when it isn't the usual one.
pub const DIR_VARIABLE: &str = "PORTHOLE_AWS_EMULATOR";

/// The Python that has the emulator; nothing where it isn't installed, and the test that asked says so on the terminal.
///
/// # Panics
/// When it is absent and `CI` is set: there, a test that quietly skips would be a test that nobody has.
#[must_use]
pub fn python() -> Option<PathBuf> {
    let found = locate();
    if found.is_none() {
        let why = format!(
            "the AWS emulator isn't installed; `./just aws-emulator` does it, {DIR_VARIABLE} names another folder"
        );
        not_installed(&why);
    }
    found
}

fn locate() -> Option<PathBuf> {
    let folder = installed(DIR_VARIABLE, "aws-emulator")?;
    // The stamp is written last: what has none is half installed.
    Some(folder.join("bin/python")).filter(|python| folder.join(".installed").is_file() && python.exists())
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("aws").join(name)
}

/// Services with one host for all regions.
const GLOBAL: [&str; 6] = ["iam", "sts", "route53", "cloudfront", "waf", "organizations"];
/// Services with a host in each region. `organizations` and `route53domains` have one in the first region only.
const REGIONAL: [&str; 36] = [
    "access-analyzer",
    "acm",
    "api.ecr",
    "apigateway",
    "autoscaling",
    "batch",
    "cloudformation",
    "cloudtrail",
    "config",
    "dynamodb",
    "ec2",
    "ecs",
    "eks",
    "elasticache",
    "elasticfilesystem",
    "elasticloadbalancing",
    "es",
    "events",
    "guardduty",
    "inspector",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "organizations",
    "rds",
    "redshift",
    "route53domains",
    "s3",
    "s3-control",
    "sns",
    "sqs",
    "sts",
    "transfer",
    "waf-regional",
    "workspaces",
];

/// Every host of the services that a collector may ask, for these regions.
#[must_use]
pub fn hosts<'a>(regions: impl Iterator<Item = &'a str>) -> Vec<String> {
    let global = GLOBAL.iter().map(|service| format!("{service}.amazonaws.com"));
    global.chain(regions.flat_map(|r| REGIONAL.iter().map(move |s| format!("{s}.{r}.amazonaws.com")))).collect()
}

/// An access key.
#[derive(Debug, Clone, Deserialize)]
pub struct Key {
    /// Its id.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// The account that it belongs to.
    pub account: String,
}

/// What the bed says of itself when it is ready.
#[derive(Debug, Clone, Deserialize)]
pub struct Told {
    /// The port that checks everything.
    pub port: u16,
    /// The port without checks, with the controls.
    pub admin: u16,
    /// The key of whoever runs the collector: it can take the roles and nothing else.
    pub platform: Key,
    /// A key of the first account that can read.
    pub reader: Key,
    /// The role of each account that demands an external id.
    pub roles: BTreeMap<String, String>,
    /// The role of each account that demands none.
    pub open_roles: BTreeMap<String, String>,
    /// The external id of each account's role.
    pub external_ids: BTreeMap<String, String>,
    /// The regions in which the accounts are enabled.
    pub regions: Vec<String>,
    /// Begins the secrets in the environments of functions: whatever stores it has failed.
    pub canary: String,
}

/// A request that wasn't a read, or that nobody could answer.
#[derive(Debug, Clone, Deserialize)]
pub struct Violation {
    /// Method, host and path.
    pub request: String,
    /// What was wrong.
    pub why: String,
}

/// A session that AssumeRole handed out.
#[derive(Debug, Clone, Deserialize)]
pub struct Session {
    /// The session's ARN.
    pub arn: String,
    /// The external id that came with the request.
    pub external_id: Option<String>,
    /// Its session policies.
    pub policies: Vec<serde_json::Value>,
}

/// What an account has to have in the graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// Entities, as `type key`.
    pub entities: BTreeSet<String>,
    /// Relationships, as `from VERB to`.
    pub relationships: BTreeSet<String>,
    /// Keys of far ends that aren't collected from this account.
    pub mapped: BTreeSet<String>,
}

/// A running bed. It ends when this is dropped.
pub struct AwsBed {
    python: PathBuf,
    told: Told,
    process: Child,
}

impl AwsBed {
    /// Starts a bed and waits until it is filled, which takes some seconds. None where the emulator isn't installed.
    ///
    /// # Errors
    /// When it ends before it is ready.
    pub fn start() -> Result<Option<Self>> {
        let Some(python) = python() else { return Ok(None) };
        let mut command = Command::new(&python);
        command.arg("-B").arg(script("emulator.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("the emulator's Python doesn't start")?;
        let mut line = String::new();
        if let Some(out) = process.stdout.as_mut() {
            BufReader::new(out).read_line(&mut line)?;
        }
        match serde_json::from_str(&line) {
            Ok(told) => Ok(Some(Self { python, told, process })),
            Err(error) => {
                process.kill()?;
                bail!("the bed ended before it was ready ({}): {error}", process.wait()?)
            }
        }
    }

    /// What the bed says of itself.
    #[must_use]
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The port that checks everything: `http://127.0.0.1:PORT`. Every host of the provider has to be mapped to it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.told.port)
    }

    /// Every host of the provider, for the regions in which the accounts are enabled.
    #[must_use]
    pub fn hosts(&self) -> Vec<String> {
        hosts(self.told.regions.iter().map(String::as_str))
    }

    /// What a collector has to find in an account.
    ///
    /// # Errors
    /// When the oracle fails.
    pub fn expected(&self, account: &str) -> Result<Expected> {
        let mut command = Command::new(&self.python);
        command.arg("-B").arg(script("oracle.py")).arg(format!("http://127.0.0.1:{}", self.told.admin)).arg(account);
        let out = command.args(&self.told.regions).stderr(Stdio::inherit()).output()?;
        if !out.status.success() {
            bail!("the oracle failed: {}", out.status);
        }
        let mut expected = Expected::default();
        for line in String::from_utf8(out.stdout)?.lines() {
            match serde_json::from_str(line).with_context(|| format!("the oracle's line `{line}`"))? {
                Line::Entity { key, mapped: true, .. } => expected.mapped.insert(key),
                Line::Entity { entity, key, .. } => expected.entities.insert(format!("{entity} {key}")),
                Line::Relationship { from, verb, to } => expected.relationships.insert(format!("{from} {verb} {to}")),
            };
        }
        Ok(expected)
    }

    /// Everything that was asked and shouldn't have been.
    ///
    /// # Errors
    /// When the bed doesn't answer.
    pub async fn violations(&self) -> Result<Vec<Violation>> {
        self.look("violations").await
    }

    /// How often each operation was asked, by `action@region`.
    ///
    /// # Errors
    /// When the bed doesn't answer.
    pub async fn counts(&self) -> Result<BTreeMap<String, u64>> {
        self.look("counts").await
    }

    /// The sessions so far, in order.
    ///
    /// # Errors
    /// When the bed doesn't answer.
    pub async fn sessions(&self) -> Result<Vec<Session>> {
        self.look("sessions").await
    }

    /// Sets something: `tests/aws/control.py` says what there is.
    ///
    /// # Errors
    /// When the bed refuses it.
    pub async fn set(&self, what: &str, value: &serde_json::Value) -> Result<()> {
        control(self.told.admin, "POST", what, &value.to_string()).await.map(drop)
    }

    async fn look<T: DeserializeOwned>(&self, what: &str) -> Result<T> {
        let text = control(self.told.admin, "GET", what, "").await?;
        serde_json::from_str(&text).with_context(|| format!("the bed's answer to `{what}`"))
    }
}

impl Drop for AwsBed {
    fn drop(&mut self) {
        // It ends by itself when its input closes, but it may be busy.
        let _killed = self.process.kill();
        let _ended = self.process.wait();
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Entity {
        entity: String,
        key: String,
        #[serde(default)]
        mapped: bool,
    },
    Relationship {
        from: String,
        verb: String,
        to: String,
    },
}

/// One request to the controls, and the body of its answer.
async fn control(port: u16, method: &str, what: &str, body: &str) -> Result<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
    let length = body.len();
    let head = format!("{method} /_bed/{what} HTTP/1.0\r\nhost: 127.0.0.1\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").context("an answer without an end of its head")?;
    if head.split(' ').nth(1) != Some("200") {
        bail!("the bed refused `{what}`: {body}");
    }
    Ok(body.to_owned())
}
