//! `porthole:integration@0.1.0`.

wasmtime::component::bindgen!({
    path: "../../wit/integration@0.1.0",
    world: "integration",
    with: { "porthole:integration/credentials.credential": crate::task::Credential },
    // A limit ends the guest from inside a host function.
    imports: { default: trappable },
});
