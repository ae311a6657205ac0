"""What is learnt: scikit-learn's own answer, an honest confidence, the same bits twice, and never from the future."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]

from basis_actors.errors import BasisError
from basis_actors.signals.training import DirectionModel, fit

NOW = 1_000_000


def lesson(seed: int = 3, count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Four features of different scale, of which the first two matter."""
    chance = np.random.default_rng(seed)
    features = chance.normal(0.0, 1.0, (count, 4)) * [1.0, 1e-3, 50.0, 1e-6]
    score = features[:, 0] - 800.0 * features[:, 1] + 0.2
    return features, (chance.random(count) < 1.0 / (1.0 + np.exp(-score))).astype(float)


def trained(features: np.ndarray, labels: np.ndarray, **changes: Any) -> DirectionModel | None:
    options: dict[str, Any] = {"overlap": 1, "penalty": 1.0, "seed": 7, **changes}
    known = np.arange(len(labels), dtype=np.int64)
    return fit(features, labels, known, NOW, **options)


@pytest.mark.parametrize("overlap", [1, 24])
def test_a_forecast_is_the_probability_that_scikit_learn_gives(overlap: int) -> None:
    features, labels = lesson()
    model = trained(features, labels, overlap=overlap, penalty=0.5)
    assert model is not None
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(C=2.0, max_iter=1000))
    pipeline.fit(features, labels, logisticregression__sample_weight=np.full(len(labels), 1.0 / overlap))
    expected = pipeline.predict_proba(features)[:, 1]
    assert [model.forecast(row).rise for row in features] == pytest.approx(expected.tolist(), rel=1e-9)


def test_confidence_is_the_share_of_plausible_weights_that_agree_on_the_direction() -> None:
    features, labels = lesson()
    model = trained(features, labels, overlap=24)
    assert model is not None
    drawn = np.random.default_rng(5).multivariate_normal(model.weights, model.covariance, 40_000)
    for row in features[:20]:
        said = model.forecast(row)
        scores = drawn @ np.append((row - model.mean) / model.scale, 1.0)
        agreeing = float(((scores > 0.0) == (said.rise > 0.5)).mean())
        assert said.confidence == pytest.approx(agreeing, abs=0.01)


def test_the_covariance_is_the_inverse_of_the_curvature_of_the_penalised_likelihood() -> None:
    features, labels = lesson(count=200)
    overlap, penalty = 6, 2.0
    model = trained(features, labels, overlap=overlap, penalty=penalty)
    assert model is not None
    design = np.column_stack([(features - features.mean(axis=0)) / features.std(axis=0), np.ones(len(features))])

    def loss(weights: np.ndarray) -> float:
        score = design @ weights
        likelihood = float((np.logaddexp(0.0, score) - labels * score).sum())
        return likelihood / overlap + 0.5 * penalty * float((weights[:-1] ** 2).sum())

    step, size = 1e-4, len(model.weights)
    curvature = np.zeros((size, size))
    for one in range(size):
        for other in range(size):
            a, b = np.eye(size)[one] * step, np.eye(size)[other] * step
            w = model.weights
            curvature[one, other] = (
                (loss(w + a + b) - loss(w + a - b) - loss(w - a + b) + loss(w - a - b)) / 4 / step**2
            )
    assert np.allclose(model.covariance @ curvature, np.eye(size), atol=1e-4)


def test_the_same_rows_give_the_same_bits() -> None:
    one, other = trained(*lesson()), trained(*lesson())
    assert one is not None
    assert other is not None
    assert one.weights.tobytes() == other.weights.tobytes()
    assert one.covariance.tobytes() == other.covariance.tobytes()


def test_a_label_from_the_future_is_refused() -> None:
    features, labels = lesson()
    known = np.arange(len(labels), dtype=np.int64)
    known[17] = NOW + 1
    with pytest.raises(BasisError, match=f"STRAT-001: a label that becomes known at {NOW + 1} ns was given") as caught:
        fit(features, labels, known, NOW, overlap=1, penalty=1.0, seed=7)
    assert "t + horizon <= T" in caught.value.message


def test_nothing_is_learnt_from_one_direction_or_no_rows() -> None:
    features, labels = lesson()
    assert trained(features, np.ones_like(labels)) is None
    assert trained(features[:0], labels[:0]) is None
