"""Classification metrics besides accuracy. Inputs are labels as integers from 0, shape (N,)."""

from __future__ import annotations

import math

import numpy as np


def f1(predicted: np.ndarray, actual: np.ndarray) -> float:
    """F1 of class 1: `2 TP / (2 TP + FP + FN)`. Range: [0, 1]; 0 if class 1 neither occurs nor is predicted."""
    true_positive = int(((predicted == 1) & (actual == 1)).sum())
    wrong = int(((predicted == 1) != (actual == 1)).sum())
    return 2 * true_positive / (2 * true_positive + wrong) if true_positive else 0.0


def matthews_correlation(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Matthews correlation for any number of classes. Range: [-1, 1]; 0 if all predictions or all labels are equal.

    Source: Gorodkin 2004.
    """
    num_classes = int(max(predicted.max(), actual.max())) + 1
    confusion = np.bincount(actual * num_classes + predicted, minlength=num_classes**2)
    confusion = confusion.reshape(num_classes, num_classes).astype(np.float64)
    predicted_counts, actual_counts, total = confusion.sum(0), confusion.sum(1), confusion.sum()
    covariance = np.trace(confusion) * total - predicted_counts @ actual_counts
    spread = (total**2 - predicted_counts @ predicted_counts) * (total**2 - actual_counts @ actual_counts)
    return float(covariance / math.sqrt(spread)) if spread else 0.0


CLASSIFICATION_METRICS = {"f1": f1, "matthews_correlation": matthews_correlation}
