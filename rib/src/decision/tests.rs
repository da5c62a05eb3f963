//! Table tests of the module above.
//!
//! One case per step.
