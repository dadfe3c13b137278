//! For Windows: the libraries that librdkafka needs, and the resources of the program. Elsewhere: nothing.

use std::env;
use std::path::Path;
use std::process::Command;

/// What librdkafka calls. After all objects, since MinGW's linker looks for nothing twice.
const LIBRARIES: [&str; 7] = ["secur32", "crypt32", "ws2_32", "gdi32", "user32", "bcrypt", "advapi32"];
const TOOLS: &str = "x86_64-w64-mingw32-";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=resources");
    if env::var_os("CARGO_CFG_WINDOWS").is_none() {
        return;
    }
    if env::var("CARGO_CFG_TARGET_ENV").as_deref() != Ok("gnu") {
        println!("cargo:warning=built without the texts of the Event Log: they are made with MinGW's tools");
        return;
    }
    for library in LIBRARIES {
        println!("cargo:rustc-link-arg=-l{library}");
    }
    resources();
}

/// The texts of the Event Log, and the version that Windows shows and its installer compares.
fn resources() {
    let out = env::var("OUT_DIR").expect("cargo sets it");
    let of_cargo = |name: &str| env::var(format!("CARGO_PKG_VERSION_{name}")).expect("cargo sets it");
    let version = ["MAJOR", "MINOR", "PATCH"].map(of_cargo).join(",");
    tool("windmc", &["--headerdir", &out, "--rcdir", &out, "resources/messages.mc"]);
    let object = Path::new(&out).join("resources.o");
    let object = object.to_str().expect("cargo's folders are UTF-8");
    let (version, out) = (format!("VERSION={version},0"), format!("--include-dir={out}"));
    tool("windres", &["--define", &version, &out, "resources/collector.rc", object]);
    println!("cargo:rustc-link-arg-bins={object}");
}

fn tool(name: &str, arguments: &[&str]) {
    let name = format!("{TOOLS}{name}");
    let status = Command::new(&name).args(arguments).status();
    assert!(status.is_ok_and(|status| status.success()), "{name} failed: install binutils-mingw-w64-x86-64");
}
