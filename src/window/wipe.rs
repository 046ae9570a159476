//! Zeros for a large span of memory. Thread: butler.
//!
//! The butler wipes a slot of the spool a second before the audio thread stores to it. Zeros in the caches of the processor
//! would be gone by then, and would push out what other threads need. So the wipe stores past the caches. It also takes half
//! the time, because the processor need not read a line of memory before it replaces the whole line.
#![cfg_attr(target_arch = "x86_64", expect(unsafe_code, reason = "such a store is reached through a raw pointer"))]

/// Fills `bytes` with zeros. Afterwards another thread that learns of it through an atomic value finds the zeros.
pub(super) fn wipe(bytes: &mut [u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{__m128i, _mm_setzero_si128, _mm_sfence, _mm_stream_si128};
        // SAFETY: any bytes are a valid `__m128i`, which has no padding.
        let (before, whole, after) = unsafe { bytes.align_to_mut::<__m128i>() };
        before.fill(0);
        after.fill(0);
        for part in whole {
            // SAFETY: the reference is aligned and can be written. Each x86-64 processor has SSE2. The fence below comes
            // before any other thread learns of the zeros.
            unsafe { _mm_stream_si128(part, _mm_setzero_si128()) };
        }
        // Stores past the caches are not ordered with later stores, not even with those of atomic values.
        // SAFETY: each x86-64 processor has SSE.
        unsafe { _mm_sfence() };
    }
    #[cfg(not(target_arch = "x86_64"))]
    bytes.fill(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wipe_makes_zeros_of_its_bytes_and_of_no_others() {
        for from in 0..33 {
            for bytes in [0, 1, 15, 16, 17, 63, 64, 65, 4096, 4099] {
                let mut memory = vec![9; 4200];
                wipe(&mut memory[from..from + bytes]);
                let mut want = vec![9; 4200];
                want[from..from + bytes].fill(0);
                assert_eq!(memory, want, "{bytes} bytes from byte {from}");
            }
        }
    }
}
