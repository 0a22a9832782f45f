"""A stage of an experiment: one artifact to be made, with a key that is known before anything runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from isogloss.artifacts import artifact_key, build_artifact, up_to_date
from isogloss.compute.workers import report
from isogloss.stages import forget_checkpoints

FORMATS = {
    "corpus": 1,
    "dictionary": 1,
    "encoder": 1,
    "anchors": 2,
    "senses": 1,
    "static": 1,
    "alignments": 2,
    "vectors": 1,
    "parser": 2,
    "auxiliaries": 1,
    "parsed": 2,
    "evidence": 3,
}
"""Version of each kind; raise one when its content changes for the same settings and inputs."""


@dataclass(frozen=True)
class Stage:
    """One artifact to be made."""

    name: str
    """Its folder within the run folder."""
    kind: str
    make: Callable[..., Mapping[str, Any] | None]
    """Called with an empty folder and `arguments`; a function of `isogloss.stages`."""
    settings: Mapping[str, Any]
    """Everything that steers the content, as JSON."""
    inputs: Mapping[str, str] = field(default_factory=dict)
    """Hashes of files and keys of stages, by name."""
    after: tuple[str, ...] = ()
    """Stages that must be there before."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    licences: tuple[str, ...] = ()
    seed: int | None = None

    @cached_property
    def key(self) -> str:
        """Names kind, settings and inputs; equal key means equal content."""
        return artifact_key(self.kind, format=FORMATS[self.kind], settings=self.settings, inputs=self.inputs)


def run_stage(stage: Stage, folder: Path) -> None:
    """Make a stage's artifact in a run folder, unless it is already there."""
    target = folder / stage.name
    if up_to_date(target, stage.key):
        report("kept")
    else:
        build_artifact(
            target,
            stage.kind,
            lambda draft: stage.make(draft, **stage.arguments),
            format=FORMATS[stage.kind],
            settings=stage.settings,
            inputs=stage.inputs,
            seed=stage.seed,
            licences=stage.licences,
        )
    if "checkpoints" in stage.arguments:
        forget_checkpoints(stage.arguments["checkpoints"], stage.key)
