"""Configuration of tasks: titles and ranges."""

import pytest

from warmup_lab.config.errors import ConfigError
from warmup_lab.config.task_schema import FilesTask, HubTask, SyntheticTask


@pytest.mark.parametrize(
    ("task", "title"),
    [
        (SyntheticTask("synthetic"), "synthetic"),
        (FilesTask("files", train_file="data/reviews.v2.tsv"), "reviews"),
        (FilesTask("files", train_file="C:\\data\\reviews.tsv"), "reviews"),
        (HubTask("hub", path="nyu-mll/glue", name="sst2"), "glue-sst2"),
        (HubTask("hub", path="CogComp/trec"), "trec"),
        (HubTask("hub"), "hub"),
        (HubTask("hub", id="rte", path="nyu-mll/glue"), "rte"),
    ],
)
def test_title(task, title):
    assert task.title == title


@pytest.mark.parametrize(
    ("schema", "keys", "message"),
    [
        (SyntheticTask, {"num_train": 1}, "task.num_train=1: must be at least 2"),
        (SyntheticTask, {"num_validation": 1}, "task.num_validation=1: must be at least 2"),
        (SyntheticTask, {"label_noise": 0.5}, "task.label_noise=0.5: must be in [0, 0.5)"),
        (FilesTask, {"validation_share": 1.0}, "task.validation_share=1.0: must be between 0 and 1"),
        (HubTask, {"limit": 0}, "task.limit=0: must be at least 1"),
        (HubTask, {"max_length": 7}, "task.max_length=7: must be at least 8 tokens"),
        (HubTask, {"data_seed": -1}, "task.data_seed=-1: must not be negative"),
        (HubTask, {"metric": "f2"}, "unknown task.metric 'f2'; did you mean 'f1'?"),
    ],
)
def test_a_value_out_of_range_is_refused(schema, keys, message):
    with pytest.raises(ConfigError) as error:
        schema(**keys)
    assert message in str(error.value)
