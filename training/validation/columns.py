"""The columns of a report's tables: which figures stand side by side, and how they are written."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from training.held_out import HAZE_DEPTHS
from training.validation.figures import Figures


@dataclass(frozen=True)
class Column:
    """A figure of each row's block: its heading, its path in the block, how it is written (a
    number, a share as percent, a target met or missed), and the path of its interval."""

    head: str
    path: tuple[str | int, ...]
    digits: int = 0
    percent: bool = False
    interval: tuple[str | int, ...] = ()
    target: bool = False

    def cell(self, figures: Figures, block: tuple[str | int, ...]) -> Markup:
        if self.target:
            return figures.met(*block, *self.path)
        write = figures.percent if self.percent else figures.number
        text = write(*block, *self.path, digits=self.digits)
        if not self.interval:
            return text
        return text + figures.range(
            *block, *self.interval, digits=self.digits, percent=self.percent
        )


def scored(name: str, head: str, digits: int = 1) -> Column:
    """A figure of accuracy with its bootstrap interval."""
    return Column(head, ("accuracy", name), digits, interval=("accuracy", "intervals", name))


def kept(level: str) -> Column:
    """The coverage of one level with its bootstrap interval."""
    return Column(
        f"in {level} % range",
        ("coverage", f"coverage_{level}"),
        1,
        percent=True,
        interval=("coverage", f"coverage_interval_{level}"),
    )


N = Column("n", ("accuracy", "n"))
SD = Column("SD of labels", ("accuracy", "sd_y"), 1)
HEADLINE = (
    *(N, SD, scored("mae", "mean error"), scored("r2", "R²", 2)),
    *(scored("spearman", "rank corr.", 2), kept("90")),
    Column("width", ("coverage", "mean_width_90"), 0),
)
ACCURACY = (
    *(N, Column("sessions", ("accuracy", "n_sessions")), SD, scored("mae", "MAE")),
    *(scored("rmse", "RMSE"), scored("r2", "R²", 2), scored("bias", "bias")),
    scored("spearman", "Spearman", 2),
)
ERRORS = (
    Column("error SD", ("accuracy", "error_sd"), 1),
    Column("robust SD", ("accuracy", "error_sd_robust"), 1),
    Column("outliers", ("accuracy", "outlier_rate"), 1, percent=True),
    Column("MAPE", ("accuracy", "mape"), 0, percent=True),
    Column("within ×2", ("accuracy", "within_factor_two"), 0, percent=True),
    *(scored("slope", "slope", 2), Column("intercept", ("accuracy", "intercept"), 1)),
    Column("Pearson", ("accuracy", "pearson"), 2),
)
QUALITY = tuple(
    Column(c.head, c.path[1:], c.digits, c.percent, c.interval[1:])  # of `accuracy` itself
    for c in (N, SD, scored("mae", "MAE"), scored("rmse", "RMSE"), scored("r2", "R²", 2))
)
KEPT = (
    Column("in 90 % range", ("coverage_90",), 0, percent=True, interval=("coverage_interval_90",)),
)
PLACE = (
    *(Column("photos", ("n",)), Column("sessions", ("n_sessions",))),
    *(Column("lat", ("lat",), 1), Column("lon", ("lon",), 1)),
)
COVERAGE = (
    N,
    *map(kept, ("50", "80", "90", "95")),
    Column("width of 90 %", ("coverage", "mean_width_90"), 1),
    Column("width / estimate", ("coverage", "median_relative_width_90"), 2),
)
PROBABILISTIC = (
    Column("CRPS", ("probabilistic", "crps"), 2),
    Column("interval score 90 %", ("probabilistic", "interval_score_90"), 1),
    Column("ECE", ("probabilistic", "calibration", "ece"), 3),
    Column("ENCE", ("probabilistic", "ence"), 2),
    Column("PIT mean", ("probabilistic", "pit", "mean"), 2),
    Column("PIT SD", ("probabilistic", "pit", "sd"), 2),
    Column("AUSE", ("sparsification", "width_90", "ause"), 2),
    Column("at random", ("sparsification", "width_90", "ause_random"), 2),
)
VARIANT = (
    *(N, scored("mae", "MAE"), scored("rmse", "RMSE"), scored("r2", "R²", 2)),
    *(scored("spearman", "Spearman", 2), kept("90")),
    Column("CRPS", ("probabilistic", "crps"), 2),
)
CONTROL = (
    *(N, scored("mae", "MAE"), scored("r2", "R²", 2), scored("spearman", "Spearman", 2)),
    kept("90"),
)
SKILL = (
    Column("our MAE", ("mae", "score"), 1),
    Column("its MAE", ("mae", "reference"), 1),
    Column("skill, MAE", ("mae", "skill"), 0, percent=True, interval=("mae", "skill_interval")),
    Column("skill, RMSE", ("rmse", "skill"), 0, percent=True, interval=("rmse", "skill_interval")),
    Column("skill, CRPS", ("crps", "skill"), 0, percent=True, interval=("crps", "skill_interval")),
)
SITE = (
    *(N, SD, scored("mae", "MAE")),
    Column("constant's MAE", ("skill", "training_median", "mae", "reference"), 1),
    *(scored("bias", "bias"), scored("spearman", "Spearman", 2)),
)
AGREEMENT = (
    Column("n", ("n",)),
    Column("exact", ("exact",), 0, percent=True),
    Column("within one", ("within_one",), 0, percent=True),
    Column("weighted κ", ("weighted_kappa",), 2),
    Column("unhealthy", ("n_unhealthy",)),
    Column("missed", ("missed_unhealthy",), 0, percent=True),
    Column("missed by the range too", ("missed_by_upper_bound",), 0, percent=True),
    Column("false alarms", ("false_alarm",), 0, percent=True),
)
MOVING = (
    Column("hours", ("temporal", "anomaly_correlation", "overall", "n")),
    Column("corr. of anomalies", ("temporal", "anomaly_correlation", "overall", "correlation"), 2),
    Column("moments", ("temporal", "repeatability", "overall", "n_moments")),
    Column("median SD", ("temporal", "repeatability", "overall", "median_sd"), 1),
    Column("repeatable", ("temporal", "repeatability", "overall", "repeatable"), 0, percent=True),
)
LAG = (
    Column("steps", ("n",)),
    Column("measured rate", ("pm25_rate", "mean"), 1),
    Column("estimated rate", ("estimate_rate", "mean"), 1),
    Column("ratio", ("rate_ratio",), 2),
    Column("corr. of changes", ("change_correlation",), 2),
)
PROFILE = (
    Column("correlation", ("correlation",), 2),
    Column("within sessions", ("correlation_within_session",), 2),
    Column("RMSE", ("rmse",), 1),
    Column("RMSE / mean", ("nrmse",), 0, percent=True),
)
SPATIAL = (
    Column("sites", ("sites", "n")),
    Column("Moran's I", ("sites", "i"), 2),
    Column("expected", ("sites", "expected"), 2),
    Column("p", ("sites", "p_value"), 3),
    Column("power", ("sites", "power"), 2),
    Column("hours of ≥ 4 sites", ("same_hour", "n_hours")),
    Column("pairs nearby", ("neighbours", "n_pairs")),
    Column("agree", ("neighbours", "agree"), 0, percent=True),
    Column("agree, by session", ("neighbours", "agree_per_session"), 0, percent=True),
)
PLAUSIBILITY = (
    Column("n", ("n",)),
    Column("negative", ("negative",)),
    Column("not finite", ("not_finite",)),
    Column("quantiles unordered", ("unordered",)),
    Column("outside its range", ("outside_interval",)),
    Column("above 500", ("share_above_500",), 1, percent=True),
    Column("labels above 500", ("share_labels_above_500",), 1, percent=True),
    Column("above 1.5 × highest label", ("share_beyond_labels",), 1, percent=True),
)
HAZE = (
    Column("n by day", ("n",)),
    Column("never lowers", ("never_lowers",), 1, percent=True),
    *(
        Column(f"up to depth {HAZE_DEPTHS[i]:g}", ("unlowered_so_far", i), 1, percent=True)
        for i in (1, 3)
    ),
    Column("raises by ≥ 20 %", ("raises",), 1, percent=True),
    Column("both", ("holds",), 1, percent=True),
)
SENSOR = (
    Column("days", ("n_days",)),
    Column("hours a day", ("hours_per_day",), 1),
    Column("slope", ("slope",), 2),
    Column("intercept", ("intercept",), 1),
    Column("R²", ("r2",), 2),
    Column("RMSE", ("rmse",), 1),
    Column("RMSE / mean", ("nrmse",), 0, percent=True),
    *(
        Column(title, ("met", name), target=True)
        for name, title in (
            *(("slope", "slope"), ("intercept", "intercept"), ("r2", "R²")),
            ("rmse_or_nrmse", "RMSE or share"),
        )
    ),
)
