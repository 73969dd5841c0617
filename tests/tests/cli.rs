//! The program as people and scripts use it: arguments in, exit status and text out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may panic"
)]
#![allow(clippy::print_stdout, reason = "a part that can't be tried is said, not skipped in silence")]

use porthole_store::testing::TestDatabase;
use porthole_tests::fake_github::FakeGithub;
use porthole_tests::world::{bin_dir, guest_file, program};
use serde_json::Value;
use std::cell::RefCell;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const GITHUB_MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../guests/github/manifest.toml");

/// How one call of the program ended.
struct Ended {
    code: i32,
    out: String,
    err: String,
}

impl Ended {
    /// The output of a call that went well.
    #[track_caller]
    fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// One JSON document, and nothing beside it.
    #[track_caller]
    fn json(self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }

    /// JSON Lines.
    #[track_caller]
    fn json_lines(self) -> Vec<Value> {
        self.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a call that was refused says.
    #[track_caller]
    fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.err);
        self.err
    }
}

/// A folder and perhaps a database, and everything that was ever printed.
struct Cli {
    folder: tempfile::TempDir,
    data: PathBuf,
    database: Option<String>,
    printed: RefCell<String>,
}

impl Cli {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let cli = Self { folder, data, database: None, printed: RefCell::default() };
        cli.config("");
        cli
    }

    /// Keeps compiled modules where the other tests keep theirs: compiling takes seconds.
    fn with(database: &TestDatabase) -> Self {
        let data = bin_dir().unwrap().parent().unwrap().join("test-data");
        Self { data, database: Some(database.url()), ..Self::new() }
    }

    fn config(&self, toml: &str) {
        // Each test has a registry of its own, wherever its other data is.
        let registry = format!("[registry]\nfolder = \"{}\"\n", self.file("modules").display());
        fs::write(self.file("porthole.toml"), format!("{registry}{toml}")).unwrap();
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn call(&self, args: &[&str]) -> Ended {
        self.call_with(args, "")
    }

    fn call_with(&self, args: &[&str], input: &str) -> Ended {
        let mut command = program(&self.data).unwrap();
        command.env("PORTHOLE_CONFIG", self.file("porthole.toml"));
        if let Some(url) = &self.database {
            command.env("DATABASE_URL", url);
        }
        command.args(args).current_dir(self.folder.path());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // A program that doesn't read its input may have ended already.
        drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let ended =
            Ended { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) };
        self.printed.borrow_mut().push_str(&format!("{args:?}\n{}{}", ended.out, ended.err));
        ended
    }

    fn pack(&self, out: &Path) -> Ended {
        let wasm = guest_file("github").unwrap();
        let args = ["module", "pack", "--manifest", GITHUB_MANIFEST, "--wasm", wasm.to_str().unwrap(), "--out"];
        self.call(&[&args[..], &[out.to_str().unwrap()]].concat())
    }
}

// -- egress check

/// An operator's file with one of everything.
const EGRESS_CONFIG: &str = r#"
[egress]
allow = ["127.0.0.1:9000", "10.1.0.0/16:443", "169.254.0.0/16"]
[endpoints]
"api.provider.example" = "http://127.0.0.1:9999/base"
"#;

/// Stands in for DNS. No test asks a real name server.
const NAMES: &[&str] = &[
    "pub.example=1.1.1.1",
    "six.example=2606:4700::1111",
    "priv.example=10.0.0.7",
    "mixed.example=10.0.0.7,1.1.1.1",
    "bad.example=127.0.0.1,::1,192.168.0.1",
    "meta.example=169.254.169.254",
    "localhost=1.1.1.1",
    "a.localhost=1.1.1.1",
    "api.provider.example=1.1.1.1",
    "sub.api.provider.example=1.1.1.1",
];

/// URL, address or `-` (which is a denial), reason.
const URLS: &[(&str, &str, &str)] = &[
    ("https://pub.example/", "1.1.1.1", "public address"),
    ("https://PUB.example:8443/a?b#c", "1.1.1.1", "public address"),
    ("https://pub.example./", "1.1.1.1", "public address"),
    ("https://six.example/", "2606:4700::1111", "public address"),
    ("https://8.8.8.8/", "8.8.8.8", "public address"),
    ("https://[2606:4700::1111]/", "2606:4700::1111", "public address"),
    // Without TLS, to private networks, to this machine, however it is written.
    ("http://pub.example/", "-", "1.1.1.1 is no operator exception, so it takes https"),
    ("https://priv.example/", "-", "10.0.0.7 is in 10.0.0.0/8: private network (RFC 1918)"),
    (
        "https://mixed.example/",
        "1.1.1.1",
        "public address; dropped: 10.0.0.7 is in 10.0.0.0/8: private network (RFC 1918)",
    ),
    (
        "https://bad.example/",
        "-",
        "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122); ::1 is in ::1/128: loopback (RFC 4291); 192.168.0.1 is in \
         192.168.0.0/16: private network (RFC 1918)",
    ),
    ("https://10.0.0.1/", "-", "10.0.0.1 is in 10.0.0.0/8: private network (RFC 1918)"),
    ("https://172.16.5.4/", "-", "172.16.5.4 is in 172.16.0.0/12: private network (RFC 1918)"),
    ("https://192.168.1.1/", "-", "192.168.1.1 is in 192.168.0.0/16: private network (RFC 1918)"),
    ("https://100.64.0.1/", "-", "100.64.0.1 is in 100.64.0.0/10: shared address space of carriers (RFC 6598)"),
    ("https://0.0.0.0/", "-", "0.0.0.0 is in 0.0.0.0/8: this network (RFC 791)"),
    ("https://127.0.0.1/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://127.1/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://0x7f.1/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://2130706433/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://017700000001/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://[::1]/", "-", "::1 is in ::1/128: loopback (RFC 4291)"),
    ("https://[::]/", "-", ":: is in ::/128: unspecified address (RFC 4291)"),
    (
        "https://[::ffff:127.0.0.1]/",
        "-",
        "::ffff:127.0.0.1 is in ::ffff:0.0.0.0/96: IPv4-mapped (RFC 4291), carrying 127.0.0.1",
    ),
    ("https://[64:ff9b::a00:1]/", "-", "64:ff9b::a00:1 is in 64:ff9b::/96: NAT64 (RFC 6052), carrying 10.0.0.1"),
    ("https://[64:ff9b::808:808]/", "-", "64:ff9b::808:808 is in 64:ff9b::/96: NAT64 (RFC 6052), carrying 8.8.8.8"),
    ("https://[2002:7f00:1::]/", "-", "2002:7f00:1:: is in 2002::/16: 6to4 (RFC 3056), carrying 127.0.0.1"),
    ("https://[fe80::1]/", "-", "fe80::1 is in fe80::/10: link-local (RFC 4291)"),
    ("https://[fd00::1]/", "-", "fd00::1 is in fc00::/7: unique local (RFC 4193)"),
    ("https://224.0.0.1/", "-", "224.0.0.1 is in 224.0.0.0/4: multicast (RFC 5771)"),
    ("https://255.255.255.255/", "-", "255.255.255.255 is in 255.255.255.255/32: broadcast (RFC 919)"),
    ("https://203.0.113.7/", "-", "203.0.113.7 is in 203.0.113.0/24: documentation (RFC 5737)"),
    // The range in the file doesn't open the metadata service.
    (
        "https://169.254.169.254/latest/meta-data/",
        "-",
        "169.254.169.254 is in 169.254.169.254/32: metadata service of a cloud",
    ),
    ("https://meta.example/", "-", "169.254.169.254 is in 169.254.169.254/32: metadata service of a cloud"),
    // Names of this machine, whatever DNS says; and texts that others may read differently.
    ("https://localhost/", "-", "`localhost` names this machine"),
    ("https://localhost./", "-", "`localhost` names this machine"),
    ("https://a.localhost/", "-", "`a.localhost` names this machine"),
    ("https://user:hunter2@pub.example/", "-", "the URL carries user information"),
    ("https://user@pub.example/", "-", "the URL carries user information"),
    ("https://pub.example:0/", "-", "port 0 can't be dialled"),
    ("ftp://pub.example/", "-", "scheme `ftp` is not https"),
    ("pub.example", "-", "malformed URL: it has no scheme"),
    ("https://", "-", "the URL has no host"),
    (r"https:\\pub.example\", "-", "malformed URL: it contains a backslash"),
    // What the operator's file opens, and no more.
    ("http://127.0.0.1:9000/", "127.0.0.1", "operator exception 127.0.0.1:9000"),
    ("http://127.0.0.1:9001/", "-", "127.0.0.1 is in 127.0.0.0/8: loopback (RFC 1122)"),
    ("https://10.1.2.3/", "10.1.2.3", "operator exception 10.1.0.0/16:443"),
    ("https://10.1.2.3:8443/", "-", "10.1.2.3 is in 10.0.0.0/8: private network (RFC 1918)"),
    ("https://10.2.2.3/", "-", "10.2.2.3 is in 10.0.0.0/8: private network (RFC 1918)"),
    ("https://api.provider.example/x", "127.0.0.1", "endpoint of api.provider.example: http://127.0.0.1:9999/base"),
    ("http://api.provider.example/x", "-", "1.1.1.1 is no operator exception, so it takes https"),
    ("https://sub.api.provider.example/x", "1.1.1.1", "public address"),
];

fn egress_args() -> Vec<&'static str> {
    let names = NAMES.iter().flat_map(|name| ["--resolve", *name]);
    ["egress", "check"].into_iter().chain(names).collect()
}

#[test]
fn egress_check_says_in_order_what_a_run_would_do() {
    let cli = Cli::new();
    cli.config(EGRESS_CONFIG);
    let expected: Vec<String> = URLS
        .iter()
        .map(|(_, address, reason)| {
            let verdict = if *address == "-" { "deny" } else { "allow" };
            format!("{verdict}\t{address}\t{reason}")
        })
        .collect();
    // As arguments. A denial is an answer and no failure.
    let urls: Vec<&str> = URLS.iter().map(|(url, ..)| *url).collect();
    let out = cli.call(&[egress_args(), urls.clone()].concat()).ok();
    for ((line, expected), url) in out.lines().zip(&expected).zip(&urls) {
        assert_eq!(line, expected, "{url}");
    }
    assert_eq!(out.lines().count(), URLS.len());
    // From standard input, in the other order.
    let input: String = urls.iter().rev().map(|url| format!("{url}\n")).collect();
    let reversed: Vec<String> = cli.call_with(&egress_args(), &input).ok().lines().map(str::to_owned).collect();
    assert_eq!(reversed, expected.into_iter().rev().collect::<Vec<_>>());
    // For scripts.
    let args = [egress_args(), vec!["--json"], urls.clone()].concat();
    let lines = cli.call(&args).json_lines();
    assert_eq!(lines.len(), URLS.len());
    for (line, (url, address, reason)) in lines.iter().zip(URLS) {
        assert_eq!((line["url"].as_str(), line["reason"].as_str()), (Some(*url), Some(*reason)));
        assert_eq!(line["verdict"], if *address == "-" { "deny" } else { "allow" });
        assert_eq!(line["address"].as_str(), Some(*address).filter(|a| *a != "-"));
        assert_eq!(line["port"].is_u64(), *address != "-");
    }
    assert!(lines[1]["port"] == 8443 && !cli.data.exists(), "nothing is made for a question");
}

#[test]
fn egress_check_without_exceptions_opens_nothing_and_refuses_odd_overrides() {
    let cli = Cli::new();
    for url in ["http://127.0.0.1:9000/", "https://10.1.2.3/"] {
        assert!(cli.call(&["egress", "check", url]).ok().starts_with("deny\t-\t"), "{url}");
    }
    let any =
        cli.call(&["egress", "check", "--resolve", "*=1.1.1.1", "https://any.example/", "https://127.0.0.1/"]).ok();
    assert!(any.starts_with("allow\t1.1.1.1\tpublic address\ndeny\t-\t"), "an override is for names: {any}");
    assert!(
        cli.call(&["egress", "check", "--resolve", "a.example", "https://a.example/"]).refused(1).contains("a.example")
    );
    // Neither a break in a URL nor an empty line breaks the format.
    let out = cli.call_with(&["egress", "check"], "https://a\tb/\n\n").ok();
    assert_eq!(out.lines().map(|line| line.split('\t').count()).collect::<Vec<_>>(), [3, 3], "{out}");
}

#[test]
fn an_unknown_table_or_key_of_the_file_is_refused() {
    let cli = Cli::new();
    cli.config("[egres]\nallow = [\"127.0.0.1\"]\n");
    let err = cli.call(&["egress", "check", "https://1.1.1.1/"]).refused(1);
    assert!(
        err.contains("unknown table [egres]")
            && err.contains("egress, endpoints, ceiling, worker, audit, approval, key, registry"),
        "{err}"
    );
    for toml in ["[egress]\nalow = []\n", "[worker]\nrun = 1\n", "[egress]\nallow = [\"everything\"]\n", "[egress\n"] {
        cli.config(toml);
        let err = cli.call(&["egress", "check", "https://1.1.1.1/"]).refused(1);
        assert!(err.contains("porthole.toml"), "{toml}: {err}");
    }
    fs::remove_file(cli.file("porthole.toml")).unwrap();
    let err = cli.call(&["egress", "check", "https://1.1.1.1/"]).refused(1);
    assert!(err.contains("can't read"), "a file that was named has to be there: {err}");
}

// -- module

#[test]
fn the_same_source_packs_to_the_same_bytes() {
    let cli = Cli::new();
    let (first, second) = (cli.file("a.porthole"), cli.file("b.porthole"));
    assert!(cli.pack(&first).ok().contains("10 operations, 7 steps, all reads"));
    cli.pack(&second).ok();
    assert!(fs::read(&first).unwrap() == fs::read(&second).unwrap(), "two packs differ");
    // A component packs to what it was packed from.
    let inspected = cli.call(&["module", "inspect", first.to_str().unwrap(), "--json"]).json();
    assert_eq!((&inspected["module"]["name"], &inspected["module"]["version"]), (&"github".into(), &"0.1.0".into()));
    assert_eq!(inspected["size-bytes"], fs::metadata(&first).unwrap().len());
    assert!(inspected["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(inspected["findings"], Value::Array(Vec::new()));
    // It imports what the host offers and nothing else: no WASI, no files, no clock, no sockets.
    let imports: Vec<&str> = inspected["imports"].as_array().unwrap().iter().map(|i| i.as_str().unwrap()).collect();
    assert!(!imports.is_empty() && imports.iter().all(|i| i.starts_with("porthole:integration/")), "{imports:?}");
    let text = cli.call(&["module", "inspect", first.to_str().unwrap()]).ok();
    assert!(text.contains("list-org-repos") && text.contains("github"), "{text}");
}

#[test]
fn a_diff_says_what_got_wider_and_exits_so() {
    let cli = Cli::new();
    let old = cli.file("old.porthole");
    cli.pack(&old).ok();
    let manifest = fs::read_to_string(GITHUB_MANIFEST).unwrap().replace("type = \"=all\"", "type = '^(all|private)$'");
    let (author, new) = (cli.file("wider.toml"), cli.file("new.porthole"));
    fs::write(&author, manifest).unwrap();
    let wasm = guest_file("github").unwrap();
    let (author, wasm) = (author.to_str().unwrap(), wasm.to_str().unwrap());
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    cli.call(&["module", "pack", "--manifest", author, "--wasm", wasm, "--out", new]).ok();
    assert!(cli.call(&["module", "diff", old, old]).ok().contains("equal"));
    let wider = cli.call(&["module", "diff", old, new]);
    assert_eq!(wider.code, 3, "{}{}", wider.out, wider.err);
    let example = "> GET https://api.github.com/orgs/acme/repos?per_page=100&type=private";
    assert!(wider.out.contains(example), "{}", wider.out);
    let json = cli.call(&["module", "diff", old, new, "--json"]);
    assert_eq!(json.code, 3);
    assert_eq!(json.json()["verdict"], "wider");
    assert!(cli.call(&["module", "diff", old, "/nowhere.porthole"]).refused(1).contains("/nowhere.porthole"));
}

#[test]
fn a_manifest_that_calls_a_mutation_a_query_is_refused_with_its_line() {
    let cli = Cli::new();
    let manifest = fs::read_to_string(GITHUB_MANIFEST).unwrap();
    let line = manifest.lines().position(|l| l.starts_with("query Members(")).unwrap() + 1;
    let path = cli.file("manifest.toml");
    fs::write(&path, manifest.replace("query Members(", "mutation Members(")).unwrap();
    let (wasm, out) = (guest_file("github").unwrap(), cli.file("x.porthole"));
    let [manifest, wasm, shown] = [&path, &wasm, &out].map(|p| p.to_str().unwrap());
    let err = cli.call(&["module", "pack", "--manifest", manifest, "--wasm", wasm, "--out", shown]).refused(1);
    assert!(err.contains(&format!("line {line}, column 1")) && err.contains("holds a mutation"), "{err}");
    assert!(!out.exists(), "nothing is written");
}

// -- The whole way, against a database.

const TOKEN: &str = "ghp_0123456789abcdefTHESECRET";

#[tokio::test(flavor = "multi_thread")]
async fn from_a_tenant_to_its_graph() {
    let fake = FakeGithub::builder()
        .org("acme")
        .seed(7)
        .repos(12)
        .members(6)
        .outside(1)
        .teams(3)
        .token(TOKEN)
        .start()
        .await
        .unwrap();
    let database = TestDatabase::new().await.unwrap();
    let cli = Cli::with(&database);
    cli.config(&format!(
        "[endpoints]\n\"api.github.com\" = \"{}\"\n[worker]\nkey-file = \"{}\"\n",
        fake.url(),
        cli.file("kek").display()
    ));

    // Before there is anything, each command says what comes first.
    assert!(cli.call(&["runs", "list"]).refused(1).contains("porthole tenant create"));
    assert!(cli.call(&["tenant", "create", "acme"]).ok().starts_with("tenant acme created"));
    let module = cli.file("github.porthole");
    cli.pack(&module).ok();
    let module = module.to_str().unwrap();
    vouch(&cli, module);
    let err = cli.call(&["instance", "create", "acme/github", "--module", "github"]).refused(1);
    assert!(err.contains("--set FIELD=VALUE") && err.contains("`login`"), "{err}");
    let create = ["instance", "create", "acme/github", "--module", "github", "--set"];
    assert!(cli.call(&[&create[..], &["login=acme/evil"]].concat()).refused(1).contains("login"));
    let created = cli.call(&[&create[..], &["login=acme"]].concat()).ok();
    assert!(created.contains("next: porthole credential set acme/github --slot api"), "{created}");

    credential(&cli);
    run_and_look(&cli, &fake);
    replay(&cli);
    narrow_the_grant(&cli);
    strangers(&cli);

    // Whatever was printed or stored, the secret is in none of it.
    assert!(!cli.printed.borrow().contains(TOKEN), "the secret was printed");
    let dump = database.dump().await.unwrap();
    assert!(!dump.contains(TOKEN) && !dump.contains(&hex::encode(TOKEN)), "the secret is in the database");
    assert_eq!(fake.stats().writes().count(), 0);
}

/// From a file to a module that may run: keys, publisher, reviewers, signature, two approvals. Each step says what is
/// missing until it was done.
fn vouch(cli: &Cli, module: &str) {
    let path = |name: &str| cli.file(name).to_str().unwrap().to_owned();
    let [publisher, ada, ben] = ["publisher", "ada", "ben"].map(|who| {
        assert!(cli.call(&["module", "keygen", "--out", &path(who)]).ok().contains("private: "));
        assert!(cli.call(&["module", "keygen", "--out", &path(who)]).refused(1).contains("nothing is overwritten"));
        path(who)
    });
    let public = |key: &str| format!("{key}.pub");
    assert!(cli.call(&["module", "publish", module]).refused(1).contains("is not signed: there is no"));
    let sign = ["module", "sign", module, "--publisher", "us", "--key"];
    fs::set_permissions(&publisher, fs::Permissions::from_mode(0o640)).unwrap();
    let err = cli.call(&[&sign[..], &[&publisher]].concat()).refused(1);
    assert!(err.contains("can be read by others (mode 0640)"), "{err}");
    fs::set_permissions(&publisher, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(cli.call(&[&sign[..], &[&publisher]].concat()).ok().contains("us/github 0.1.0 signed"));
    let verify = ["module", "verify", module, "--key"];
    assert!(cli.call(&[&verify[..], &[&public(&publisher)]].concat()).ok().contains("us/github 0.1.0: verified"));
    assert!(cli.call(&[&verify[..], &[&public(&ada)]].concat()).refused(1).contains("get the key of us from them"));
    let err = cli.call(&["module", "publish", module]).refused(1);
    assert!(err.contains("`us`, who is no publisher here"), "{err}");
    let add = ["publisher", "add", "us", "--person", "otto", "--key"];
    assert!(cli.call(&[&add[..], &[&public(&publisher)]].concat()).ok().contains("publisher us added"));
    assert!(cli.call(&[&add[..], &[&public(&publisher)]].concat()).ok().contains("was there already"));
    let published = cli.call(&["module", "publish", module]).ok();
    assert!(
        published.contains("us/github 0.1.0 published") && published.contains("next: two reviewers"),
        "{published}"
    );
    assert!(cli.call(&["module", "publish", module]).ok().contains("was there already, with this signature"));

    let approve = |key: &str, reviewer: &str| {
        let args = ["module", "approve", "github@0.1.0", "--reason", "read it", "--key", key, "--reviewer", reviewer];
        cli.call(&args)
    };
    let create = ["instance", "create", "acme/github", "--module", "github", "--set", "login=acme"];
    assert!(cli.call(&create).refused(1).contains("is not approved: 0 of 2 approvals"));
    assert!(approve(&ada, "ada").refused(1).contains("`ada` is no reviewer"));
    for (name, key) in [("ada", &ada), ("ben", &ben)] {
        assert!(cli.call(&["reviewer", "add", name, "--key", &public(key)]).ok().contains("added"));
    }
    let taken = cli.call(&["reviewer", "add", "eve", "--key", &public(&publisher)]).refused(1);
    assert!(taken.contains("is us's already"), "{taken}");
    assert!(approve(&ben, "ada").refused(1).contains("is ben's and not ada's"));
    assert!(approve(&publisher, "ada").refused(1).contains("is us's and not ada's"));
    assert!(approve(&ada, "ada").ok().contains("1 of 2 approvals: it may not run yet"));
    assert!(approve(&ada, "ada").refused(1).contains("ada has approved github@0.1.0 already"));
    let err = cli.call(&create).refused(1);
    assert!(err.contains("is not approved: 1 of 2 approvals (by ada)"), "{err}");
    let approved = approve(&ben, "ben").ok();
    assert!(approved.contains("against nothing") && approved.contains("it may run"), "{approved}");
    let listed = cli.call(&["module", "list", "--json"]).json();
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&"github".into(), &"approved".into()));
    skopeo(&cli.file("modules"), fs::read(module).unwrap());
    let shown = cli.call(&["module", "show", "us/github"]).ok();
    assert!(shown.contains("signed by us") && shown.ends_with("it may run\n"), "{shown}");
}

/// Another tool reads the local registry: the module by its name, its bytes, and three things that refer to it.
fn skopeo(registry: &Path, module: Vec<u8>) {
    let index: Value = serde_json::from_slice(&fs::read(registry.join("index.json")).unwrap()).unwrap();
    let entries = index["manifests"].as_array().unwrap();
    assert_eq!(entries.len(), 4, "a module, a signature, two approvals");
    let blob = |digest: &Value| {
        let name = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
        fs::read(registry.join("blobs/sha256").join(name)).unwrap()
    };
    let manifest = blob(&entries[0]["digest"]);
    let document: Value = serde_json::from_slice(&manifest).unwrap();
    assert!(blob(&document["layers"][0]["digest"]) == module, "the layer is not the file");
    let image = format!("oci:{}:us/github:0.1.0", registry.display());
    match Command::new("skopeo").args(["inspect", "--raw", &image]).output() {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert!(output.stdout == manifest, "skopeo reads something else");
            let copy = format!("oci:{}:copy", registry.with_extension("copy").display());
            let copied = Command::new("skopeo").args(["copy", "--insecure-policy", &image, &copy]).output();
            let copied = copied.unwrap();
            assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
        }
        Err(e) => println!("skopeo isn't here, so its reading of the layout was not tried: {e}"),
    }
}

/// A secret goes in by standard input or a file. There is no argument for it, and no way to read it back.
fn credential(cli: &Cli) {
    let set = ["credential", "set", "acme/github", "--slot", "api", "--method", "pat"];
    for argument in [&["hunter2"][..], &["--secret", "hunter2"], &["--token=hunter2"], &["--value", "hunter2"]] {
        cli.call_with(&[&set[..], argument].concat(), TOKEN).refused(2);
    }
    let listed = |cli: &Cli| cli.call(&["credential", "list", "acme/github", "--json"]).json();
    assert_eq!(listed(cli), Value::Array(Vec::new()), "nothing was stored");
    let err = cli.call_with(&["credential", "set", "acme/github"], TOKEN).refused(1);
    assert!(err.contains("say which: --slot api --method app"), "{err}");
    assert!(cli.call_with(&set, &format!("{TOKEN}\n")).ok().contains("pat v1 sealed and stored"));
    let all = listed(cli);
    assert_eq!((&all[0]["slot"], &all[0]["method"], &all[0]["version"]), (&"api".into(), &"pat".into(), &1.into()));
    for verb in ["get", "show", "reveal"] {
        cli.call(&["credential", verb, "acme/github"]).refused(2);
    }
}

fn run_and_look(cli: &Cli, fake: &FakeGithub) {
    let expected = fake.expected();
    let of_type = |name: &str| expected.of_type(name).len() as u64;
    let transcript = cli.file("run.transcript");
    let ended = cli.call(&["run", "acme/github", "--json", "--record", transcript.to_str().unwrap()]);
    assert_eq!(ended.code, 0, "{}{}", ended.out, ended.err);
    let run = ended.json();
    let again = cli.call(&["run", "acme/github", "--record", transcript.to_str().unwrap()]).refused(1);
    assert!(again.contains("nothing is overwritten"), "{again}");
    assert_eq!((&run["state"], &run["outcome"]), (&"finished".into(), &"succeeded".into()));
    assert_eq!(run["counts"]["github_repo"]["created"], of_type("github_repo"));
    let id = run["id"].as_str().unwrap();

    // The ledger, by the run's id and as the newest of the instance.
    let list = cli.call(&["runs", "list", "acme/github", "--json"]).json();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["id"]), (1, &id.into()));
    assert!(cli.call(&["runs", "list"]).ok().contains(id));
    for which in [id, "acme/github"] {
        let shown = cli.call(&["runs", "show", which, "--json"]).json();
        assert_eq!((&shown["run"]["id"], &shown["denials"]), (&id.into(), &Value::Array(Vec::new())));
        assert!(shown["slices"].as_array().unwrap().iter().all(|s| s["complete"] == true));
        let calls = cli.call(&["runs", "calls", which, "--json"]).json_lines();
        assert!(calls.len() > 5 && calls.iter().all(|c| c["decision"] == "allowed" && c["status"] == 200));
        // A run in which nothing was odd may have nothing to say; both forms say the same.
        let lines = cli.call(&["runs", "log", which, "--json"]).json_lines().len();
        assert_eq!(cli.call(&["runs", "log", which]).ok().lines().count(), lines);
    }
    let text = cli.call(&["runs", "show", id]).ok();
    for part in ["succeeded", "list-org-repos", "isolation:", "graph digest:", "operator's exception in force"] {
        assert!(text.contains(part), "{part}: {text}");
    }

    // The graph: counts, filters, one entity.
    let counts = cli.call(&["graph", "acme", "--json"]).json();
    assert_eq!(counts["entities"]["github_repo"], of_type("github_repo"));
    let listed = |args: &[&str]| cli.call(&[&["graph", "acme/github", "--json"], args].concat()).json_lines();
    let teams = listed(&["--type", "github_team"]);
    assert_eq!(teams.len() as u64, of_type("github_team"));
    let both = listed(&["--type", "github_team", "--type", "github_repo"]);
    assert_eq!(both.len() as u64, of_type("github_team") + of_type("github_repo"));
    assert_eq!(listed(&["--class", "CodeRepo"]).len() as u64, of_type("github_repo"));
    let (key, slug) = (teams[0]["_key"].as_str().unwrap(), teams[0]["properties"]["slug"].as_str().unwrap());
    let found = listed(&["--type", "github_team", "--where", &format!("slug={slug}")]);
    assert_eq!((found.len(), &found[0]["_key"]), (1, &key.into()));
    assert!(listed(&["--find", key]).iter().any(|e| e["_key"] == key));
    assert!(listed(&["--find", "there is nothing like this"]).is_empty());
    let few = cli.call(&["graph", "acme", "--type", "github_repo", "--limit", "2", "--json"]);
    assert!(few.err.contains("there are more"), "{}", few.err);
    assert_eq!(few.json_lines().len(), 2);
    let shown = cli.call(&["graph", "acme", "--show", key]).ok();
    assert!(shown.contains(key) && shown.contains("<-[HAS]-"), "{shown}");
    cli.call(&["graph", "acme", "--type", "x", "--show", key]).refused(2);
    mappings(cli, &listed(&["--type", "github_repo"]));
}

/// Rules of the tenant's own, on what is in the graph: what they relate, why, and that they can be switched.
fn mappings(cli: &Cli, repos: &[Value]) {
    let add = ["mapping", "add", "acme", "--from", "github_repo", "--verb", "IS", "--to-class", "CodeRepo"];
    let err = cli.call(&[&add[..], &["--match", "visibility=_key"]].concat()).refused(1);
    assert!(err.contains("`_key` is no name of a property"), "{err}");
    let err = cli.call(&["mapping", "add", "acme", "--from", "x", "--verb", "BE", "--to-class", "X", "--match", "a=b"]);
    assert!(err.refused(1).contains("names the verb `BE`"));
    let added = cli.call(&[&add[..], &["--match", "visibility=visibility"]].concat()).ok();
    assert!(added.contains("github_repo IS any CodeRepo, where visibility = visibility"), "{added}");
    let alike = |a: &Value, b: &Value| {
        let of = |repo: &Value| repo["properties"]["visibility"].clone();
        a["_key"] != b["_key"] && of(a).is_string() && of(a) == of(b)
    };
    let pairs: Vec<_> =
        repos.iter().flat_map(|a| repos.iter().map(move |b| (a, b))).filter(|(a, b)| alike(a, b)).collect();
    let (from, to) = pairs.first().expect("two repositories that anybody can see");
    let name = "github_repo_is_code_repo";
    let found = |cli: &Cli| cli.call(&["graph", "acme", "--json"]).json()["found"][name].as_u64().unwrap_or(0);
    assert_eq!(found(cli), pairs.len() as u64);

    let (from, to) = (from["_key"].as_str().unwrap(), to["_key"].as_str().unwrap());
    let key = format!("{from}|IS|{to}");
    let why = cli.call(&["graph", "why", "acme", &key]).ok();
    for part in ["IS (github_repo_is_code_repo)", from, to, name, "matched   visibility = visibility = \"", "since"] {
        assert!(why.contains(part), "{part}: {why}");
    }
    let ends = ["graph", "why", "acme/github", "--from", from, "--verb", "IS", "--to", to, "--json"];
    assert_eq!(cli.call(&ends).json()[0]["reason"]["found"]["rule"], name);
    let shown = cli.call(&["graph", "acme", "--show", from, "--json"]).json();
    let near = |n: &Value| n["how"] == "found" && n["_key"] == key.as_str() && n["rule"] == name;
    assert!(shown[0]["neighbours"].as_array().unwrap().iter().any(near), "{shown}");
    // What a run emitted has a reason too.
    let owned = shown[0]["neighbours"].as_array().unwrap().iter().find(|n| n["how"] == "emitted").unwrap();
    let why = cli.call(&["graph", "why", "acme", owned["_key"].as_str().unwrap()]).ok();
    assert!(why.contains("emitted   by github, step ") && why.contains(" of github@"), "{why}");
    assert!(cli.call(&["graph", "why", "acme", "a|IS|b"]).refused(1).contains("no relationship"));

    let listed = cli.call(&["mapping", "list", "acme", "--json"]).json();
    assert_eq!((&listed[0]["name"], &listed[0]["off"]), (&name.into(), &false.into()));
    assert!(cli.call(&["mapping", "off", "acme", name]).ok().contains("is now off"));
    assert_eq!(found(cli), 0);
    assert!(cli.call(&["mapping", "on", "acme", name]).ok().contains("is now on"));
    assert_eq!(found(cli), pairs.len() as u64);
    cli.call(&["mapping", "remove", "acme", name]).ok();
    assert_eq!((found(cli), cli.call(&["mapping", "list", "acme", "--json"]).json()), (0, serde_json::json!([])));
    assert!(cli.call(&["mapping", "off", "acme", "github/x"]).refused(1).contains("no mapping rule"));
}

/// What an auditor has: the module, the transcript, the record of the run. No database, no data folder, no network.
fn replay(cli: &Cli) {
    let shown = cli.call(&["runs", "show", "acme/github", "--json"]);
    let record = cli.file("run.json");
    fs::write(&record, &shown.out).unwrap();
    let run = &shown.json()["run"];
    let auditor = Cli::new();
    // Without a folder for compiled code, it compiles twice: that is what the second half of this test takes its time for.
    let [module, transcript, record] = ["github.porthole", "run.transcript", "run.json"].map(|f| cli.file(f));
    let [module, transcript, record] = [&module, &transcript, &record].map(|p| p.to_str().unwrap());
    let args = ["replay", transcript, "--module", module];
    let with = |more: &[&str]| auditor.call(&[&args[..], more].concat());
    let first = with(&["--run", record]).ok();
    let second = with(&["--run", record]).ok();
    assert_eq!(first, second, "two replays print the same bytes");
    for digest in [&run["graph_digest"], &run["transcript_digest"]] {
        assert!(first.contains(digest.as_str().unwrap()), "{first}");
    }
    assert!(!auditor.data.exists(), "no data folder was made");
    let wrong = with(&["--expect", "blake3:00", "--json"]);
    assert_eq!(wrong.code, 2, "{}", wrong.err);
    assert_eq!(wrong.json()["differences"][0]["what"], "graph digest");
    assert!(with(&["--expect", "00"]).refused(1).contains("is no digest"));
    // The record of another run.
    fs::write(cli.file("other.json"), fs::read_to_string(record).unwrap().replace(run["id"].as_str().unwrap(), ID))
        .unwrap();
    let other = with(&["--run", cli.file("other.json").to_str().unwrap()]);
    assert_eq!(other.code, 2, "{}", other.err);
    assert!(other.out.contains("DIFFERS: run: expected"), "{}", other.out);
    // A file that is cut.
    let cut = cli.file("cut.transcript");
    let whole = fs::read(transcript).unwrap();
    fs::write(&cut, &whole[..whole.len() - 9]).unwrap();
    let err = auditor.call(&["replay", cut.to_str().unwrap(), "--module", module]).refused(1);
    assert!(err.contains("cut.transcript, line") && err.contains("cut"), "{err}");
    // A version compared with itself.
    let same = auditor.call(&["module", "compare", module, module, "--replay", transcript]).ok();
    assert!(same.contains("the same objects") && same.contains("it ran, and its replay is exact"), "{same}");
}

/// No run has this id.
const ID: &str = "01999999-9999-7999-8999-999999999999";

fn narrow_the_grant(cli: &Cli) {
    let proposed = cli.call(&["grant", "propose", "acme/github"]).ok();
    assert!(proposed.contains("never used: list-user-repos"), "{proposed}");
    let command = proposed.lines().last().unwrap();
    assert!(command.starts_with("porthole grant set acme/github --deny list-user-repos"), "{command}");
    let grant = cli.call(&["grant", "propose", "acme/github", "--json"]).json();
    assert_eq!(grant["operations"].as_array().unwrap().len(), 9);
    let shown = cli.call(&["grant", "show", "acme/github", "--json"]).json();
    assert_eq!(shown["grant"]["operations"].as_array().unwrap().len(), 10);
    let err = cli.call(&["grant", "set", "acme/github", "--deny", "list-collabs"]).refused(1);
    assert!(err.contains("no operation `list-collabs`") && err.contains("list-collaborators"), "{err}");
    let set = cli.call(&["grant", "set", "acme/github", "--deny", "list-teams"]).ok();
    assert!(set.contains("grant v2 of acme/github: 9 of 10 operations"), "{set}");
    assert!(cli.call(&["grant", "show", "acme/github"]).ok().contains("list-teams"));
    // A denial is told, costs nothing that was there, and has its own exit status.
    let before = cli.call(&["graph", "acme", "--json"]).json();
    let ended = cli.call(&["run", "acme/github"]);
    assert_eq!(ended.code, 2, "{}{}", ended.out, ended.err);
    assert!(ended.out.contains("would allow it: porthole grant set github --allow list-teams"), "{}", ended.out);
    let denials = cli.call(&["runs", "show", "acme/github", "--denied", "--json"]).json();
    assert_eq!((&denials[0]["operation"], &denials[0]["layer"]), (&"list-teams".into(), &"granted".into()));
    assert_eq!(cli.call(&["graph", "acme", "--json"]).json(), before);
}

/// Another tenant's run, and none at all, look the same: there is no such run.
fn strangers(cli: &Cli) {
    let id = cli.call(&["runs", "list", "--limit", "1", "--json"]).json()[0]["id"].as_str().unwrap().to_owned();
    cli.call(&["tenant", "create", "stranger"]).ok();
    let nobodys = "00000000-0000-7000-8000-000000000000";
    for (tenant, run) in [("stranger", id.as_str()), ("stranger", nobodys), ("acme", nobodys)] {
        for args in
            [&["runs", "show", run][..], &["runs", "calls", run], &["runs", "log", run], &["runs", "cancel", run]]
        {
            let ended = cli.call(&[args, &["--tenant", tenant]].concat());
            assert!(ended.err.contains("no run"), "{args:?} as {tenant}: {} {:?}{}", ended.code, ended.out, ended.err);
            assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{args:?}");
        }
    }
    assert!(cli.call(&["graph", "stranger", "--type", "github_repo", "--json"]).json_lines().is_empty());
    assert!(cli.call(&["runs", "show", "stranger/github"]).refused(1).contains("no instance"));
    assert!(cli.call(&["runs", "list"]).refused(1).contains("there are several tenants"));
}

// -- An upgrade that asks for more

/// The GitHub module as another version, perhaps with one operation more.
fn pack_version(cli: &Cli, version: &str, more: bool) -> String {
    let mut text = fs::read_to_string(GITHUB_MANIFEST).unwrap();
    text = text.replacen("version = \"0.1.0\"", &format!("version = \"{version}\""), 1);
    if more {
        text = text.replacen("uses = [\"list-teams\"]", "uses = [\"list-teams\", \"list-hooks\"]", 1);
        let at = text.find("[[steps]]").unwrap();
        let operation = "[[operations]]\nid = \"list-hooks\"\n\
             request = \"GET https://{config.host}{config.rest}/orgs/{config.login}/hooks\"\n\
             headers = { Accept = \"application/json\" }\nauth = \"api\"\n\n";
        text.insert_str(at, operation);
    }
    let (manifest, out) = (cli.file("manifest.toml"), cli.file(&format!("github-{version}.porthole")));
    fs::write(&manifest, text).unwrap();
    let [manifest, out, wasm] = [manifest, out, guest_file("github").unwrap()].map(|p| p.to_str().unwrap().to_owned());
    cli.call(&["module", "pack", "--manifest", &manifest, "--wasm", &wasm, "--out", &out]).ok();
    let key = cli.file("publisher").to_str().unwrap().to_owned();
    cli.call(&["module", "sign", &out, "--key", &key, "--publisher", "us"]).ok();
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_asks_for_more() {
    let database = TestDatabase::new().await.unwrap();
    let cli = Cli::with(&database);
    cli.config(&format!("[worker]\nkey-file = \"{}\"\n", cli.file("kek").display()));
    cli.call(&["tenant", "create", "acme"]).ok();
    let module = cli.file("github.porthole");
    cli.pack(&module).ok();
    vouch(&cli, module.to_str().unwrap());
    cli.call(&["instance", "create", "acme/github", "--module", "github", "--set", "login=acme"]).ok();
    let published = cli.call(&["module", "publish", &pack_version(&cli, "0.2.0", true)]).ok();
    assert!(published.contains("smoke run: it loads") && published.contains("two reviewers approve"), "{published}");
    // A name is its first publisher's, and a version is published once.
    let other = pack_version(&cli, "0.2.0", false);
    assert!(cli.call(&["module", "publish", &other]).refused(1).contains("github@0.2.0 exists with other bytes"));

    let set = ["instance", "set", "acme/github", "--module", "github@0.2.0"];
    let err = cli.call(&set).refused(1);
    assert!(err.contains("asks for 1 operation more than github@0.1.0, which is approved: list-hooks"), "{err}");
    // Without a version, an instance gets the newest one that may run.
    cli.call(&["instance", "create", "acme/second", "--module", "github", "--set", "login=acme"]).ok();
    let second = cli.call(&["instance", "show", "acme/second"]).ok();
    assert!(second.contains("github 0.1.0"), "{second}");

    // One person, in an emergency: it runs, and everyone is told.
    let approve = |reviewer: &str, more: &[&str]| {
        let key = cli.file(reviewer).to_str().unwrap().to_owned();
        let args = ["module", "approve", "github@0.2.0", "--key", &key, "--reviewer", reviewer, "--reason", "outage"];
        cli.call(&[&args[..], more].concat())
    };
    assert!(cli.call(&["module", "approve", "github", "--key", "x", "--reviewer", "ada", "--reason", "r"]).code == 1);
    let shown = approve("ada", &["--emergency"]).ok();
    assert!(shown.contains("list-hooks") && shown.contains("against github@0.1.0"), "{shown}");
    assert!(shown.contains("a second person has to follow up"), "{shown}");
    let changed = cli.call(&set).ok();
    assert!(changed.contains("from github@0.1.0 to github@0.2.0: ") && changed.contains("wider"), "{changed}");
    assert!(cli.call(&["module", "list"]).ok().contains("emergency"));
    let shown = cli.call(&["module", "show", "github@0.2.0"]).ok();
    assert!(shown.contains("on ada's word alone: a second person has to follow up"), "{shown}");
    assert!(approve("ada", &[]).refused(1).contains("a second approval has to be somebody else's"));
    let followed = approve("ben", &["--json"]).json();
    assert_eq!(
        (&followed["approval"]["kind"], &followed["approvals"]["standing"]["state"]),
        (&"follow-up".into(), &"approved".into())
    );
    assert_eq!(followed["approval"]["diff"].as_str().map(|d| d.starts_with("sha256:")), Some(true));

    // Taken back: the runs say so, and the instance goes back.
    let yanked = cli.call(&["module", "yank", "github@0.2.0", "--reason", "reads too much"]).ok();
    assert!(yanked.contains("porthole instance set INSTANCE --module github@0.1.0"), "{yanked}");
    assert!(cli.call(&["module", "yank", "github@0.2.0", "--reason", "again"]).code == 1);
    let run = cli.call(&["run", "acme/github", "--json"]);
    let message = run.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("was yanked by") && message.contains("reads too much"), "{message}");
    assert!(approve("ben", &[]).refused(1).contains("was yanked"));
    let back = cli.call(&["instance", "set", "acme/github", "--module", "github@0.1.0"]).ok();
    assert!(back.contains("from github@0.2.0 to github@0.1.0"), "{back}");

    // The operator's policy: what is no wider needs nobody.
    let registry = fs::read_to_string(cli.file("porthole.toml")).unwrap();
    fs::write(cli.file("porthole.toml"), format!("{registry}[approval]\nautomatic = true\n")).unwrap();
    let published = cli.call(&["module", "publish", &pack_version(&cli, "0.1.1", false)]).ok();
    assert!(published.contains("approved by the operator's policy"), "{published}");
    cli.call(&["instance", "set", "acme/github", "--module", "github@0.1.1"]).ok();
    let published = cli.call(&["module", "publish", &pack_version(&cli, "0.3.0", true)]).ok();
    assert!(published.contains("two reviewers approve"), "{published}");
    fs::write(cli.file("porthole.toml"), registry).unwrap();
    let err = cli.call(&["instance", "set", "acme/github", "--module", "github@0.1.1"]).refused(1);
    assert!(err.contains("`[approval] automatic` is off now"), "{err}");

    // A key that was lost.
    let ended = cli.call(&["publisher", "end", "us", "--reason", "the laptop was stolen"]).ok();
    assert!(ended.contains("1 key(s) of publisher us ended"), "{ended}");
    assert!(cli.call(&["module", "show", "github@0.1.0"]).ok().contains("with a key of us that was ended"));
    let dump = database.dump().await.unwrap();
    for action in
        ["module.published", "module.approval-followed-up", "module.yanked", "publisher.ended", "reviewer.added"]
    {
        assert!(dump.contains(action), "{action} is in no audit record");
    }
}
