//! Signatures of webhooks, as Standard Webhooks (standardwebhooks.com) defines them: HMAC-SHA256 over id, timestamp and
//! body, so that a receiver can refuse forged and old requests with a library that exists for its language.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Shortest key: 128 bits.
const KEY_BYTES_MIN: usize = 16;
/// Marks a key that is written in base64.
const BASE64_PREFIX: &str = "whsec_";

/// The key of a signature.
pub(super) struct SigningKey {
    mac: Hmac<Sha256>,
}

impl SigningKey {
    /// A key as text, or in base64 behind `whsec_`.
    ///
    /// # Errors
    /// Where it is too short or not base64. The message does not show it.
    pub(super) fn new(key: &str) -> Result<SigningKey, String> {
        let bytes = match key.strip_prefix(BASE64_PREFIX) {
            Some(encoded) => STANDARD.decode(encoded).map_err(|_| format!("not base64 behind {BASE64_PREFIX}"))?,
            None => key.as_bytes().to_vec(),
        };
        if bytes.len() < KEY_BYTES_MIN {
            return Err(format!("shorter than {KEY_BYTES_MIN} bytes"));
        }
        let mac = Hmac::new_from_slice(&bytes).map_err(|error| error.to_string())?;
        Ok(SigningKey { mac })
    }

    /// The value of `webhook-signature`.
    pub(super) fn sign(&self, id: &str, timestamp_secs: i64, body: &[u8]) -> String {
        let mut mac = self.mac.clone();
        mac.update(format!("{id}.{timestamp_secs}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's repository (libraries/README and its test vectors).
    #[test]
    fn the_signature_is_that_of_the_specification() {
        let signer = SigningKey::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_short_key_is_refused_and_not_shown() {
        let error = SigningKey::new("hunter2").err().unwrap();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
