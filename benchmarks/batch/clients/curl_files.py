"""curl --parallel: a file for each URL, named by what follows the last slash or equals sign; then sha256sum over all.

What has a file is left out of the list that curl is given, which is what its own --skip-existing does (curl 8.10): a
name is all that it looks at. --remove-on-error keeps what failed from having one. curl has no way to hash.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def main() -> None:
    urls, folder, concurrency = Path(sys.argv[1]).read_text().split(), Path(sys.argv[2]), sys.argv[3]
    out, config = folder / "out", folder / "config"
    out.mkdir(exist_ok=True)
    there = {path.name for path in out.iterdir()}
    with config.open("w") as file:
        for url in urls:
            name = re.split("[/=]", url)[-1]
            if name not in there:
                file.write(f'url = "{url}"\noutput = "{out / name}"\n')
    if config.stat().st_size:
        options = ["--silent", "--show-error", "--fail", "--remove-on-error", "--max-time", "60"]
        parallel = ["--parallel", "--parallel-immediate", "--parallel-max", concurrency]
        subprocess.run(["curl", "-q", *options, *parallel, "--config", config], check=True)
    with (folder / "sums.txt").open("w") as sums:
        found = subprocess.Popen(["find", ".", "-type", "f", "-print0"], cwd=out, stdout=subprocess.PIPE)
        subprocess.run(["xargs", "-0", "-r", "sha256sum"], cwd=out, stdin=found.stdout, stdout=sums, check=True)
        if found.wait():
            raise SystemExit("find failed")


if __name__ == "__main__":
    main()
