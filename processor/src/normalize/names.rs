//! The names that serde gives the variants of an enum, without a JSON serializer's way to text.
//!
//! A document has half a dozen of them. Asked for like this, each is a look into a table that the compiler makes of the
//! derived code, so that no second list of the names has to be kept in step.

use std::fmt;

use serde::ser::{Impossible, Serialize, Serializer};
use wulog_schemas::event::{Action, EventOutcome, EventType, Form, OpenOperation, TimeSource};
use wulog_schemas::hresult::Family;

/// An enum whose variants are names alone. Names are of our own making: none needs an escape.
pub(super) trait Named: Serialize {
    /// The name of the variant, as documents have it.
    #[inline]
    fn name(&self) -> &'static str {
        self.serialize(VariantName).expect("its variants have no fields")
    }
}

impl Named for Action {}
impl Named for EventOutcome {}
impl Named for EventType {}
impl Named for Family {}
impl Named for Form {}
impl Named for OpenOperation {}
impl Named for TimeSource {}

/// Takes the name of a variant and refuses everything else.
struct VariantName;

/// What stands for all that is no variant without fields.
type Refused = Impossible<&'static str, fmt::Error>;

macro_rules! refuse {
    ($($method:ident($($of:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self, $(_: $of),*) -> Result<$ok, fmt::Error> {
            Err(fmt::Error)
        })*
    };
}

impl Serializer for VariantName {
    type Ok = &'static str;
    type Error = fmt::Error;
    type SerializeSeq = Refused;
    type SerializeTuple = Refused;
    type SerializeTupleStruct = Refused;
    type SerializeTupleVariant = Refused;
    type SerializeMap = Refused;
    type SerializeStruct = Refused;
    type SerializeStructVariant = Refused;

    #[inline]
    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<&'static str, fmt::Error> {
        Ok(variant)
    }

    refuse! {
        serialize_bool(bool) -> &'static str;
        serialize_i8(i8) -> &'static str;
        serialize_i16(i16) -> &'static str;
        serialize_i32(i32) -> &'static str;
        serialize_i64(i64) -> &'static str;
        serialize_u8(u8) -> &'static str;
        serialize_u16(u16) -> &'static str;
        serialize_u32(u32) -> &'static str;
        serialize_u64(u64) -> &'static str;
        serialize_f32(f32) -> &'static str;
        serialize_f64(f64) -> &'static str;
        serialize_char(char) -> &'static str;
        serialize_str(&str) -> &'static str;
        serialize_bytes(&[u8]) -> &'static str;
        serialize_none() -> &'static str;
        serialize_unit() -> &'static str;
        serialize_unit_struct(&'static str) -> &'static str;
        serialize_seq(Option<usize>) -> Refused;
        serialize_tuple(usize) -> Refused;
        serialize_tuple_struct(&'static str, usize) -> Refused;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Refused;
        serialize_map(Option<usize>) -> Refused;
        serialize_struct(&'static str, usize) -> Refused;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Refused;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<&'static str, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<&'static str, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<&'static str, fmt::Error> {
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let cases: [(&dyn Fn() -> &'static str, &str); 9] = [
            (&|| Action::ServiceStart.name(), "service-start"),
            (&|| Action::SignatureVerification.name(), "signature-verification"),
            (&|| Action::PipelineError.name(), "pipeline-error"),
            (&|| EventOutcome::Unknown.name(), "unknown"),
            (&|| EventType::Deletion.name(), "deletion"),
            (&|| Family::UntrustedRoot.name(), "untrusted_root"),
            (&|| Form::ReportingEvents.name(), "reporting_events"),
            (&|| OpenOperation::Scan.name(), "scan"),
            (&|| TimeSource::Previous.name(), "previous"),
        ];
        for (written, name) in cases {
            assert_eq!(written(), name);
        }
    }
}
