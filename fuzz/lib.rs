//! What the targets share.

use std::sync::LazyLock;

use starttls::Protocol;

/// The protocol that this process is about, which the environment names.
pub static PROTOCOL: LazyLock<Protocol> = LazyLock::new(|| {
    let name = std::env::var("STARTTLS_PROTOCOL").expect("STARTTLS_PROTOCOL names a protocol");
    name.parse().expect("a protocol")
});
