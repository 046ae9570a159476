//! One way to lock a mutex, whether or not a thread panicked while it held it. Thread: any but audio, which locks
//! nothing.
//!
//! A panic poisons a mutex: afterwards `Mutex::lock` returns an error. This function locks a poisoned mutex like any
//! other, so that one failed thread does not take the others with it. Use it for values that stay usable if a panic
//! cuts a change off.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks `mutex`, also if a thread panicked while it held the lock. Waits for the holder: not realtime-safe.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_mutex_whose_holder_panicked_is_locked_like_any_other() {
        let mutex = Arc::new(Mutex::new(7));
        let holder = std::thread::spawn({
            let mutex = Arc::clone(&mutex);
            move || {
                let _guard = mutex.lock();
                std::panic::resume_unwind(Box::new(()));
            }
        });
        assert!(holder.join().is_err() && mutex.is_poisoned());
        assert_eq!(*lock(&mutex), 7);
    }
}
