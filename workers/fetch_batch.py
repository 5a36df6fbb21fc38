"""`fetch-batch`: the command line of the offline batch: from words typed to an exit status.

Exit: 0 done, 1 done with failed records, 2 usage, 3 the machine refused (a full disk), 130 interrupted.
"""

from __future__ import annotations

import signal

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until all below is imported, ctrl-C ends us at once and without a word: there is nobody yet to catch it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import shlex
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from app.errors import PercoreError, UsageError
from workers.batch_options import BatchCommand, batch_options, options_of
from workers.batch_run import EXIT_INTERRUPTED, BatchRun
from workers.drain import leave
from workers.outlet import tell
from workers.plan import make_plan

EXIT_USAGE = 2
EXIT_FAULT = 3


@click.command(cls=BatchCommand, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@batch_options
def command(**given: Any) -> int:
    """Fetch every request of the INPUTs (.txt, .jsonl, .csv, .tsv, .parquet, sitemap .xml, each also .gz or .zst; .warc
    for responses that are stored already; - for URLs on standard input) and run stages on the answers. OUT gets one
    record for every request, in input order, failures included.

    --list-stages names the stages; module:function is found from the current folder (docs/howto/write-a-stage.md).

    Stopped in whatever way, the same command goes on where it was (but for standard input, which can't be read
    again); once it is finished, it says so and fetches nothing. OUT.percore.json tells what OUT was made of. Options
    that have a PERCORE_* variable (PERCORE_CONCURRENCY, ...) take their default from it.
    """
    options = options_of(given)
    plan = make_plan(options)
    if options.dry_run:
        # Imported here, since no other run needs them.
        import tempfile

        from workers.dry_run import dry_run

        with tempfile.TemporaryDirectory(prefix="fetch-batch-") as folder:
            for line in dry_run(options, plan, Path(folder)).report():
                click.echo(line)
        return 0
    return BatchRun(options, plan, _how_to_go_on).run()


def main() -> NoReturn:
    """Run the command; every mistake in its use is one clear line."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status = command.main(prog_name=_name(), standalone_mode=False)
    except click.exceptions.Exit as exit_:
        status = exit_.exit_code
    except click.ClickException as error:
        status = _complain(error.format_message(), EXIT_USAGE)
    except UsageError as error:
        status = _complain(str(error), EXIT_USAGE)
    except PercoreError as error:
        status = _complain(str(error), EXIT_FAULT)
    except click.Abort:
        status = EXIT_INTERRUPTED
    if status == EXIT_INTERRUPTED:
        leave(status)
    sys.exit(status)


def _complain(message: str, status: int) -> int:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing is left to be done but this line, which may have no reader.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    tell(sys.stderr, f"{_name()}: {message}")
    return status


def _name() -> str:
    return Path(_typed()).name


def _typed() -> str:
    """The command as the user typed it: bin/fetch-batch hands it on, an installed script has it itself."""
    typed = os.environ.get("PERCORE_COMMAND") or sys.argv[0]
    return "fetch-batch" if typed.endswith(".py") else typed


def _how_to_go_on() -> str:
    # --fresh would start over.
    return shlex.join([_typed(), *(word for word in sys.argv[1:] if word != "--fresh")])


if __name__ == "__main__":
    main()
