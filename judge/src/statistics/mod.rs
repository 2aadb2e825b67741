//! Classical statistics: tests and intervals for one look at finished numbers. What is looked at again
//! and again while it grows belongs to [`crate::evidence`] and [`crate::confidence`].

mod correlation;
mod percentile;
mod proportions;
mod ranks;
mod tails;

pub use correlation::{pearson, pearson_above, spearman};
pub use percentile::percentile;
pub use proportions::{ChiSquare, EmptyMargin, chi_square, wald, wilson};
pub use ranks::{Alternative, MannWhitney, NoRanks, mann_whitney, ranks};
pub use tails::{chi_square_above, normal_above, normal_quantile, student_above};
