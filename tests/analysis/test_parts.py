"""The parts of records that are decoded, beside the records themselves."""

from __future__ import annotations

import msgspec
import pytest

from headway.analysis.reading import AccuracyPart, HistoryPart, StagePart, StagesPart
from headway.records import StageRecord, TaskHistory


@pytest.mark.parametrize(
    ("part", "whole"),
    [
        (HistoryPart, TaskHistory),
        (StagesPart, TaskHistory),
        (AccuracyPart, TaskHistory),
        (StagePart, StageRecord),
    ],
)
def test_a_part_has_fields_of_its_record_with_the_same_defaults(
    part: type[msgspec.Struct], whole: type[msgspec.Struct]
) -> None:
    known = {field.name: field for field in msgspec.structs.fields(whole)}
    for field in msgspec.structs.fields(part):
        assert field.name in known
        if not field.required:
            assert field.default == known[field.name].default
            assert field.default_factory == known[field.name].default_factory
