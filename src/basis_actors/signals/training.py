"""Defines how a direction is learnt: a penalised logistic regression with scikit-learn, and how sure it can be.

Importing this needs the extra `ml`. Training uses one thread and a solver without chance, so that the same rows give
the same model.
"""

from __future__ import annotations

from math import erf, sqrt, tanh
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from basis_actors.errors import BasisError

__all__ = ["DirectionModel", "Forecast", "fit"]

Floats = NDArray[np.float64]
_MAX_ITERATIONS = 1000


class Forecast(NamedTuple):
    """What a model says of one row of features."""

    rise: float
    """Probability that the price rises over the horizon."""
    confidence: float
    """Probability that the direction is right, given how uncertain the weights are; from 0.5 to 1."""


class DirectionModel(NamedTuple):
    """A trained model: the scaling of its window, the weights, and their covariance (intercept last)."""

    mean: Floats
    scale: Floats
    weights: Floats
    covariance: Floats
    trained_rows: int

    def forecast(self, features: Floats) -> Forecast:
        """What the model says of one row of features."""
        row = np.append((features - self.mean) / self.scale, 1.0)
        score = float(row @ self.weights)
        spread = sqrt(float(row @ self.covariance @ row))
        return Forecast(0.5 * (1.0 + tanh(0.5 * score)), 0.5 * (1.0 + erf(abs(score) / (spread * sqrt(2.0)))))


def fit(
    features: Floats,
    labels: Floats,
    label_known_ns: NDArray[np.int64],
    now_ns: int,
    *,
    overlap: int,
    penalty: float,
    seed: int,
) -> DirectionModel | None:
    """Train on rows whose labels were known by `now_ns`; None when all of them have the same label.

    `overlap` neighbouring labels share the same return and count as one: each has the weight 1 / overlap. The
    covariance is that of the Laplace approximation, the inverse of the curvature of the penalised likelihood at its
    maximum (MacKay, Information Theory, Inference, and Learning Algorithms, chapter 41). Scaling is fitted on the same
    rows. Raises BasisError STRAT-001 for a label that becomes known later than `now_ns`.
    """
    latest = int(label_known_ns.max(initial=0))
    if latest > now_ns:
        raise BasisError(
            "STRAT-001",
            f"a label that becomes known at {latest} ns was given for training at {now_ns} ns; only t + horizon <= T"
            " may be learnt from",
        )
    if len(np.unique(labels)) < 2:
        return None
    scaler = StandardScaler().fit(features)
    scaled = scaler.transform(features)
    with threadpool_limits(limits=1):
        trained = LogisticRegression(C=1.0 / penalty, solver="lbfgs", max_iter=_MAX_ITERATIONS, random_state=seed).fit(
            scaled, labels, sample_weight=np.full(len(labels), 1.0 / overlap)
        )
        design = np.column_stack([scaled, np.ones(len(scaled))])
        weights = np.append(trained.coef_[0], trained.intercept_[0])
        rise = 0.5 * (1.0 + np.tanh(0.5 * (design @ weights)))
        curvature = (design.T * (rise * (1.0 - rise) / overlap)) @ design
        curvature[:-1, :-1] += penalty * np.eye(len(weights) - 1)
        covariance = np.linalg.inv(curvature)
    return DirectionModel(scaler.mean_, scaler.scale_, weights, covariance, len(labels))
