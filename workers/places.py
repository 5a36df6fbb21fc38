"""Places: where a command reads and writes, looked at before anything is begun. None is another's, none goes away with
a run, and each has a name that can be told to children and can stand in a manifest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from app.errors import UsageError
from app.sinks.outputs import WORK_SUFFIX, OutputSpec
from app.sources.inputs import Inputs
from workers.batch_options import BatchOptions, is_text
from workers.receipt import receipt_path


def check_places(options: BatchOptions, inputs: Inputs, outputs: Sequence[OutputSpec]) -> None:
    """Raises UsageError, saying which option names a place that can't be."""
    _check_names(options, outputs)
    _keep_apart(options, inputs, outputs)
    _keep_out_of_work_folders(options, outputs)
    if options.summary is not None:
        _check_summary(options.summary)


def _check_names(options: BatchOptions, outputs: Sequence[OutputSpec]) -> None:
    names = [("-o", output.name) for output in outputs]
    # How they are told again: from whatever folder, so all of the name counts.
    names += [("-o", output.whole_name) for output in outputs[1:]]
    names += [(option, os.path.realpath(name)) for option, name in _folders(options)]
    for option, name in names:
        if not is_text(name):
            raise UsageError(f"{option} {name!r}: a name that is not UTF-8 can be an input's only")


def _keep_apart(options: BatchOptions, inputs: Inputs, outputs: Sequence[OutputSpec]) -> None:
    """When two things that are written, or read, are one."""
    places = {output.whole_name.rstrip("/"): f"-o {output}" for output in outputs}
    receipt = receipt_path(outputs[0].path)
    places[os.path.realpath(receipt)] = f"the receipt, {receipt},"
    for output in outputs:
        if inputs.is_same_file(str(output.path)):
            raise UsageError(f"{output} is the input; give the output another name")
    for option, name in (("--store-bodies", options.store_bodies), ("--summary", options.summary)):
        if name is not None and (other := places.get(os.path.realpath(name))):
            raise UsageError(f"{option} {name} and {other} are the same place")
    if options.summary is not None and inputs.is_same_file(options.summary):
        raise UsageError(f"--summary {options.summary} is the input; give the summary another name")


def _keep_out_of_work_folders(options: BatchOptions, outputs: Sequence[OutputSpec]) -> None:
    """Which are cleared, whoever else has something there."""
    names = [("-o", str(output)) for output in outputs] + _folders(options)
    if options.summary is not None:
        names.append(("--summary", options.summary))
    for option, name in names:
        place = Path(os.path.realpath(name))
        for folder in (place, *place.parents):
            if folder.name.endswith(WORK_SUFFIX):
                raise UsageError(
                    f"{option} {name} lies in {folder}, which is named as a work folder, and those go away with "
                    f"all that is in them; give it another place"
                )


def _folders(options: BatchOptions) -> list[tuple[str, str]]:
    given = (("--store-bodies", options.store_bodies), ("--cache", options.cache))
    return [(option, name) for option, name in given if name is not None]


def _check_summary(name: str) -> None:
    """It is written last; then it is too late to say that it can't be."""
    path = Path(name)
    if path.is_dir():
        raise UsageError(f"--summary {name} is a folder")
    if not path.parent.is_dir():
        raise UsageError(f"--summary {name}: there is no folder {path.parent}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise UsageError(f"--summary {name}: it may not be written there")
