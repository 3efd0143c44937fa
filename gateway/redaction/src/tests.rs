use std::cell::Cell;
thread_local! { static STEPS: Cell<u64> = const { Cell::new(0) }; }
/// Counts a step of the automaton.
pub(crate) fn count_step() {
    STEPS.set(STEPS.get() + 1);
}
