//! When each step of the init stage ran (`--timings`).

use crate::create::init::Run;
use crate::error::Step;
use crate::sys::shared::SharedNumbers;

/// One step of the init stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepTime {
    /// Which step.
    pub step: Step,
    /// When it began, in nanoseconds of the monotonic clock.
    pub begin_ns: u64,
    /// When it ended.
    pub end_ns: u64,
}

/// Reads what init left of these `steps`: two numbers each, 0 for one that has not run.
pub fn collect(times: Option<&SharedNumbers>, steps: &[(Step, Run)]) -> Vec<StepTime> {
    let Some(times) = times else { return Vec::new() };
    let step = |(at, (step, _)): (usize, &(Step, _))| StepTime {
        step: *step,
        begin_ns: times.get(2 * at),
        end_ns: times.get(2 * at + 1),
    };
    steps.iter().enumerate().map(step).filter(|time| time.end_ns > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::create::init::STEPS;

    #[test]
    fn steps_that_have_not_run_are_left_out() {
        let numbers = SharedNumbers::new(2 * STEPS.len()).unwrap();
        numbers.set(2, 10);
        numbers.set(3, 12);
        let times = collect(Some(&numbers), STEPS);
        assert_eq!(times, [StepTime { step: STEPS[1].0, begin_ns: 10, end_ns: 12 }]);
        assert!(collect(None, STEPS).is_empty());
    }
}
