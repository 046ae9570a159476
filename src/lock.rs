//! One way to lock a mutex, whether or not a thread panicked while it held it. Thread: any but audio, which locks nothing.
//!
//! A panic poisons a mutex: afterwards `Mutex::lock` returns an error. The values that this program keeps in a mutex stay
//! usable after a panic, because no lock is held across a change that must be complete, so a poisoned mutex is locked
//! like any other and one failed thread does not take the others with it.

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
