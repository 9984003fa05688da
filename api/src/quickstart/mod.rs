//! `rekap quickstart`: the whole loop in half a minute, with nothing set up.

use crate::cli::failure::Failure;
use crate::cli::out::Out;

/// Tells the story; with `keep` the server stays up afterwards.
pub(crate) async fn run(_: Out, _: bool) -> Result<(), Failure> {
    Err(crate::Problem::not_built("`rekap quickstart`").into())
}
