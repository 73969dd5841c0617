//! The outer shape of a WebAssembly file: its sections, its nesting, its custom sections. Nothing here looks at code.

use crate::error::{RegistryError, Result};
use wasm_encoder::{ComponentSection, CustomSection, Encode};
use wasmparser::{BinaryReader, BinaryReaderError, Encoding, Parser, Payload};

/// How deep components may nest modules and components. wit-component needs two levels.
const MAX_NESTING: usize = 8;
/// Magic number, version, layer.
const HEADER_BYTES: usize = 8;
const CUSTOM: u8 = 0;
const COMPONENT_CORE_MODULE: u8 = 1;
const COMPONENT_COMPONENT: u8 = 4;

/// The custom sections that stay: names make traps readable. Everything else is debug information, a build machine's
/// producers, or a place to hide something.
const KEPT_CUSTOM_SECTIONS: [&str; 2] = ["name", "component-name"];

/// What a file says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Core,
    Component,
}

fn damaged(e: BinaryReaderError) -> RegistryError {
    RegistryError::NotWasm(e.to_string())
}

/// Core module or component, by the header.
pub(crate) fn kind(bytes: &[u8]) -> Result<Kind> {
    for payload in Parser::new(0).parse_all(bytes) {
        if let Payload::Version { encoding, .. } = payload.map_err(damaged)? {
            return Ok(match encoding {
                Encoding::Module => Kind::Core,
                Encoding::Component => Kind::Component,
            });
        }
    }
    Err(RegistryError::NotWasm("the file is empty".to_owned()))
}

/// A custom section and how deep it lies; 0 is the top level.
pub(crate) struct Custom<'a> {
    pub(crate) depth: usize,
    pub(crate) name: &'a str,
    pub(crate) data: &'a [u8],
}

/// What stands at the top level of a component, and its custom sections at every depth.
#[derive(Default)]
pub(crate) struct Shape<'a> {
    pub(crate) imports: Vec<&'a str>,
    pub(crate) exports: Vec<&'a str>,
    pub(crate) customs: Vec<Custom<'a>>,
}

/// Reads the shape of a component.
pub(crate) fn shape(bytes: &[u8]) -> Result<Shape<'_>> {
    if kind(bytes)? == Kind::Core {
        return Err(RegistryError::CoreModule);
    }
    let mut shape = Shape::default();
    // Counts open modules and components: 1 inside the outermost.
    let mut open = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(damaged)? {
            Payload::Version { .. } => {
                open += 1;
                if open > MAX_NESTING {
                    return Err(RegistryError::NotWasm(format!("nested deeper than {MAX_NESTING}")));
                }
            }
            Payload::End(_) => open = open.saturating_sub(1),
            Payload::ComponentImportSection(imports) if open == 1 => {
                for import in imports {
                    shape.imports.push(import.map_err(damaged)?.name.name);
                }
            }
            Payload::ComponentExportSection(exports) if open == 1 => {
                for export in exports {
                    shape.exports.push(export.map_err(damaged)?.name.name);
                }
            }
            Payload::CustomSection(section) => {
                shape.customs.push(Custom { depth: open.saturating_sub(1), name: section.name(), data: section.data() })
            }
            _ => {}
        }
    }
    Ok(shape)
}

/// The file without the custom sections that don't stay, at every depth.
pub(crate) fn strip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    strip_into(bytes, kind(bytes)?, 0, &mut out)?;
    Ok(out)
}

fn strip_into(bytes: &[u8], kind: Kind, depth: usize, out: &mut Vec<u8>) -> Result<()> {
    if depth > MAX_NESTING {
        return Err(RegistryError::NotWasm(format!("nested deeper than {MAX_NESTING}")));
    }
    let mut reader = BinaryReader::new(bytes, 0);
    out.extend_from_slice(reader.read_bytes(HEADER_BYTES).map_err(damaged)?);
    while !reader.eof() {
        let id = reader.read_u8().map_err(damaged)?;
        let size = reader.read_var_u32().map_err(damaged)?;
        let content = reader.read_bytes(size as usize).map_err(damaged)?;
        let nested = match (kind, id) {
            (_, CUSTOM) => {
                let name = BinaryReader::new(content, 0).read_string().map_err(damaged)?;
                if !KEPT_CUSTOM_SECTIONS.contains(&name) {
                    continue;
                }
                None
            }
            (Kind::Component, COMPONENT_CORE_MODULE) => Some(Kind::Core),
            (Kind::Component, COMPONENT_COMPONENT) => Some(Kind::Component),
            _ => None,
        };
        out.push(id);
        match nested {
            Some(kind) => {
                let mut inner = Vec::with_capacity(content.len());
                strip_into(content, kind, depth + 1, &mut inner)?;
                inner.encode(out);
            }
            None => content.encode(out),
        }
    }
    Ok(())
}

/// Appends a custom section to the end of a file.
pub(crate) fn append_custom(bytes: &mut Vec<u8>, name: &str, data: &[u8]) {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(bytes);
}
