"""A deployment by Compose: bring it up, upgrade it, restart its parts, back it up.

    python docker/deploy.py up            images, secrets, migrations, then each service in turn; also upgrades
    python docker/deploy.py restart [SERVICE ...]     no run is lost: a node finishes what it has
    python docker/deploy.py backup DIR | restore DIR
    python docker/deploy.py node-token NAME           for a node on another machine: its token, its address of the queue
    python docker/deploy.py rotate SECRET             secret_key, postgres, redis, or the token of node-1 or node-2
    python docker/deploy.py staff NAME [--remove]     an account becomes one of the platform's staff
    python docker/deploy.py status | logs [SERVICE ...] | down [--data]

The deployment is in --home (TOUCHSTONE_HOME, default /var/lib/touchstone). On its first `up`, variables of
docker/compose.yml that are in the environment go into its settings.env; from then on that file counts.
"""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import build_deploy
from _backup import backup
from _deployment import DeployError, Deployment
from _images import say
from _restore import refuse_unsettled, restore
from _secrets import node_token, rotate, staff
from _services import begin, renew, restart, set_up


def up(deployment: Deployment, *, build: bool) -> None:
    """Bring it up, or upgrade what runs: the database first, then one service after the other."""
    if build and build_deploy.main([]) != 0:
        raise DeployError("The images could not be built; see above.")
    begin(deployment)
    refuse_unsettled(deployment)
    set_up(deployment)
    renew(deployment)
    say(f"Touchstone runs at {deployment.settings['TOUCHSTONE_BASE_URL']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("TOUCHSTONE_HOME") or "/var/lib/touchstone"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up").add_argument("--no-build", action="store_true", help="take the images that are there")
    commands.add_parser("restart").add_argument("services", nargs="*")
    for name in ("backup", "restore"):
        commands.add_parser(name).add_argument("folder", type=Path)
    commands.add_parser("node-token").add_argument("name")
    commands.add_parser("rotate").add_argument("name", metavar="SECRET")
    person = commands.add_parser("staff")
    person.add_argument("name")
    person.add_argument("--remove", action="store_true", help="it is staff no longer")
    commands.add_parser("status")
    commands.add_parser("logs").add_argument("services", nargs="*")
    commands.add_parser("down").add_argument("--data", action="store_true", help="remove database and files too")
    return parser


def _perform(asked: argparse.Namespace) -> None:
    deployment = Deployment(asked.home)
    if asked.command == "up":
        up(deployment, build=not asked.no_build)
    elif asked.command == "restart":
        refuse_unsettled(deployment)
        restart(deployment, asked.services)
    elif asked.command in ("backup", "restore"):
        (backup if asked.command == "backup" else restore)(deployment, asked.folder)
    elif asked.command == "node-token":
        node_token(deployment, asked.name)
    elif asked.command == "rotate":
        rotate(deployment, asked.name)
    elif asked.command == "staff":
        staff(deployment, asked.name, remove=asked.remove)
    elif asked.command == "down":
        deployment.compose("down", *(["--volumes"] if asked.data else []))
    else:
        deployment.compose(*(["ps"] if asked.command == "status" else ["logs", "--follow", *asked.services]))


def _explained(error: OSError) -> str:
    """What to do about what the system refused."""
    where = f"{error.filename}: " if error.filename else ""
    if isinstance(error, PermissionError):
        step = "Run it as root, or as the owner of the deployment, and give --home a folder that is yours."
    elif error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "Make room there, and do the same again: it goes on where it stopped."
    elif isinstance(error, FileNotFoundError) and error.filename in ("docker", "docker-compose"):
        step = "Install Docker's client, and Compose."
    else:
        step = "Mend that, and do the same again."
    return f"{where}{error.strerror or error}. {step}"


def main() -> int:
    try:
        _perform(_parser().parse_args())
    except DeployError as error:
        say(str(error))
        return 1
    except OSError as error:
        say(_explained(error))
        return 1
    except subprocess.SubprocessError as error:
        say(f"{error}; see above. Does the Docker engine answer? Try `docker version`.")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
