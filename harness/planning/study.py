"""A study as it is declared before anything is run: models, budgets, evaluations, and questions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError

from ..api.budget import Match
from ..api.errors import UnavailableError, UsageError, nearest
from ..api.reading import load_yaml
from ..store.checked import DamagedResult, read_stamped, stamped
from ..store.folders import write_atomically
from ..store.records import Frozen
from .evaluation_mode import EvaluationMode
from .models import parse_variant
from .settings import parse_seeds, plain_words

FILE = "study.json"
"""In the folder of a study: its definition, and the row that each of its models resolves to."""
TRAINED = ""
"""The evaluation after training, which every model has."""


EVALUATED = "-evaluated"
"""Suffix of a grid's name, for the folder of its further evaluations."""
FolderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
"""Of a study or a grid, whose results are in a folder of that name."""


class GridDefinition(Frozen):
    """All models and seeds of a study under one budget."""

    match: Match = Match.STEPS
    share: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(
        {}, description="of the recipe's steps, by scale; by default all of them"
    )
    augmentations: int | None = Field(None, gt=0, description="A of models without augment=")
    settings: dict[str, str] = Field({}, description="pairs of --set, for every model")


class Contrast(Frozen):
    """A question of yes or no: is A better than B?

    ``a`` and ``b`` are models of the study, ``MODEL`` or ``MODEL @ EVALUATION``.
    """

    asks: str
    a: str
    b: str
    grid: str | None = Field(None, description="None asks it in every grid")


class StudyDefinition(Frozen):
    """A YAML file of a study.

    Attributes:
        name: what ``--study`` takes.
        asks: what it is about, one line.
        source: where the question comes from.
        scales: those of the task that its numbers belong to; None for every one.
        labels: short names of models, for the answers.
        evaluations: modes such as ``steps=32`` or ``puzzle_ids=blank``, in which the stored weights of every
            trained model are evaluated too.
        margin: percentage points that do not matter, for tests of equivalence.
        contrasts: the family of tests; Holm's adjustment is over exactly these.
    """

    name: FolderName
    asks: str
    source: str = ""
    task: str
    scales: list[str] | None = Field(None, min_length=1)
    models: list[str] = Field(min_length=1)
    labels: dict[str, str] = Field({})
    seeds: str = "0-4"
    grids: dict[FolderName, GridDefinition] = Field({"main": GridDefinition()}, min_length=1)
    evaluations: list[str] = Field([])
    margin: float | None = Field(None, gt=0, lt=100)
    contrasts: list[Contrast] = Field(min_length=1)

    @property
    def evaluation_labels(self) -> frozenset[str]:
        """What the rows of its evaluations say after ``@``."""
        return frozenset(map(canonical_evaluation, self.evaluations))


@dataclass(frozen=True)
class Subject:
    """One side of a contrast: a model as asked for, and the evaluation of it."""

    model: str
    evaluation: str = TRAINED

    def __str__(self) -> str:
        return f"{self.model} @ {self.evaluation}" if self.evaluation else self.model


def subject(text: str) -> Subject:
    """Read ``MODEL`` or ``MODEL @ EVALUATION``, options in alphabetical order whatever was written."""
    model, _, evaluation = text.partition("@")
    return Subject(str(parse_variant(model.strip())), canonical_evaluation(evaluation.strip()))


def canonical_evaluation(text: str) -> str:
    """An evaluation as its rows are labelled, whichever way it was written.

    Raises:
        UsageError: it cannot be read.
    """
    return EvaluationMode.parse(text).label


def read_definition(path: Path) -> StudyDefinition:
    """A definition from YAML.

    Raises:
        UnavailableError: the file cannot be read.
        UsageError: it is not YAML, has an unknown key, or a contrast names what the study does not have.
    """
    try:
        content = load_yaml(path)
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"study {path}: cannot be read ({error})") from error
    except yaml.YAMLError as error:
        raise UsageError(f"study {path}: not YAML ({error})") from error
    return checked(content, str(path))


def checked(content: Any, where: str) -> StudyDefinition:
    """A definition whose contrasts name what it has.

    Raises:
        UsageError: see `read_definition`.
    """
    if not isinstance(content, Mapping):
        raise UsageError(f"study {where}: must be a mapping of keys such as name, task and models")
    try:
        study = StudyDefinition.model_validate(_with_text_settings(content))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"study {where}: {key}: {plain_words(first)}") from None
    if taken := [name for name in study.grids if name.endswith(EVALUATED)]:
        raise UsageError(
            f"study {where}: grids: {taken[0]!r} is reserved for evaluations; choose another name"
        )
    if len({name.casefold() for name in study.grids}) < len(study.grids):
        raise UsageError(
            f"study {where}: grids: names that differ in case alone are one folder on some systems"
        )
    with placed(f"study {where}: seeds"):
        parse_seeds(study.seeds, "seeds")
    with placed(f"study {where}: models"):
        models = [str(parse_variant(text)) for text in study.models]
    with placed(f"study {where}: evaluations"):
        evaluations = [canonical_evaluation(text) for text in study.evaluations]
    for text in study.labels:
        with placed(f"study {where}: labels"):
            model = str(parse_variant(text))
        _require(model, models, f"study {where}: labels: the study has no model {text!r}")
    for number, contrast in enumerate(study.contrasts, start=1):
        _check_contrast(study, contrast, models, evaluations, f"study {where}: contrast {number}")
    return study


def _check_contrast(
    study: StudyDefinition, contrast: Contrast, models: list[str], evaluations: list[str], where: str
) -> None:
    for side in ("a", "b"):
        with placed(f"{where}: {side}"):
            named = subject(getattr(contrast, side))
        _require(named.model, models, f"{where}: {side}: the study has no model {named.model!r}")
        if named.evaluation:
            problem = f"{where}: {side}: the study has no evaluation {named.evaluation!r}"
            _require(named.evaluation, evaluations, problem)
    if contrast.grid is not None:
        _require(contrast.grid, study.grids, f"{where}: the study has no grid {contrast.grid!r}")


@contextmanager
def placed(where: str) -> Iterator[None]:
    """Put the place in a file before a `UsageError` about a value in it."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _with_text_settings(content: Any) -> Any:
    """YAML's numbers as the text that ``--set`` would have."""
    if not isinstance(content.get("grids"), Mapping):
        return content
    grids = {}
    for name, grid in content["grids"].items():
        grid = dict(grid or {}) if isinstance(grid, Mapping | None) else grid
        if isinstance(grid, dict) and isinstance(grid.get("settings"), Mapping):
            grid["settings"] = {str(key): str(value) for key, value in grid["settings"].items()}
        grids[name] = grid
    return {**content, "grids": grids}


def _require(name: str, known: Iterable[str], problem: str) -> None:
    known = list(known)
    if name not in known:
        raise UsageError(f"{problem}; {nearest(name, known)}")


def questions(study: StudyDefinition) -> StudyDefinition:
    """The part of a study that must not change once it is run: not its wording, nor where it may be run."""
    bare = [contrast.model_copy(update={"asks": ""}) for contrast in study.contrasts]
    return study.model_copy(
        update={"asks": "", "source": "", "scales": None, "labels": {}, "contrasts": bare}
    )


class Declared(Frozen):
    """`study.json`: what was declared, and the rows that the models of its contrasts resolve to.

    Attributes:
        resolved: by grid, a model as written to the requested name of its row; two may be one model there.
    """

    study: StudyDefinition
    scale: str
    resolved: dict[str, dict[str, str]]


def declared_in(folder: Path) -> Declared | None:
    """The study of a folder; None where it belongs to none.

    Raises:
        DamagedResult: its definition cannot be read.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        return Declared.model_validate(read_stamped(path))
    except ValueError as error:
        raise DamagedResult(f"{path}: cannot be read ({str(error).splitlines()[0]})") from error


def write_declared(folder: Path, declared: Declared) -> None:
    """Write `study.json`."""
    write_atomically(folder / FILE, stamped(declared.model_dump(mode="json")))


def grid_folder(folder: Path, grid: str) -> Path:
    """Where the runs of a grid are trained."""
    return folder / grid


def evaluated_folder(folder: Path, grid: str) -> Path:
    """Where its weights are evaluated in further modes."""
    return folder / f"{grid}{EVALUATED}"


def leaves(folders: Sequence[Path]) -> list[Path]:
    """The folders with runs in them: of a study, those of its grids and of their evaluations."""
    found: list[Path] = []
    for folder in folders:
        declared = declared_in(folder)
        if declared is None:
            found.append(folder)
            continue
        for grid in declared.study.grids:
            found += [
                place
                for place in (grid_folder(folder, grid), evaluated_folder(folder, grid))
                if place.is_dir()
            ]
    return found
