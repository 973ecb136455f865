"""Kills, pauses or starts the mysqld of a lab tablet: `python -m vtorc.lab.tablet_ctl --dir FOLDER mysqld-kill`."""

import argparse
import asyncio
import json
import sys
from pathlib import Path

from vtorc.lab.errors import LabError
from vtorc.lab.tablet_control import COMMANDS, send_command


def main(arguments: list[str]) -> int:
    """Send one command and print the answer."""
    parser = argparse.ArgumentParser(prog="tablet_ctl", description=__doc__)
    parser.add_argument("--dir", type=Path, required=True, help="folder of the tablet")
    parser.add_argument("command", choices=COMMANDS)
    options = parser.parse_args(arguments)
    try:
        answer = asyncio.run(send_command(options.dir, options.command))
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
