"""Classification metrics, compared with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from warmup_lab.metrics.classification import f1, matthews_correlation


@pytest.mark.parametrize("num_classes", [2, 6])
def test_classification_metrics_equal_those_of_scikit_learn(num_classes):
    generator = np.random.default_rng(0)
    actual, predicted = generator.integers(num_classes, size=(2, 300))
    assert matthews_correlation(predicted, actual) == pytest.approx(matthews_corrcoef(actual, predicted), abs=1e-12)
    assert matthews_correlation(np.zeros(9, int), np.arange(9) % num_classes) == 0
    if num_classes == 2:
        assert f1(predicted, actual) == pytest.approx(f1_score(actual, predicted), abs=1e-12)
        assert f1(np.zeros(3, int), np.zeros(3, int)) == 0
