//! Runs one module for one run, behind every wall the kernel has. Started by a worker; see `porthole_sandbox::sandbox`.

use porthole_sandbox::{engine, lockdown, sandbox};

fn main() {
    if std::env::args().nth(1).as_deref() == Some("--compatibility") {
        #[expect(clippy::print_stdout, reason = "the answer to the question")]
        {
            println!("{:016x}", engine::compatibility());
        }
        return;
    }
    let Some(socket) = lockdown::socket() else {
        #[expect(clippy::print_stderr, reason = "somebody started it by hand")]
        {
            eprintln!("porthole-sandbox is started by `porthole work`, with a socket as descriptor 3 or 0");
        }
        std::process::exit(sandbox::EXIT_USAGE);
    };
    std::process::exit(sandbox::main(socket));
}
