"""Every chart that a test of a figure builds is checked against the schema of Vega-Lite."""

import pytest

from warmup_lab.figures import figure


@pytest.fixture(autouse=True)
def _valid_vega_lite(monkeypatch):
    """A report leaves this check out, because of its time."""
    make_spec = figure._without_file_keys

    def checked(chart):
        spec = make_spec(chart)
        chart.validate(spec)
        return spec

    monkeypatch.setattr(figure, "_without_file_keys", checked)
