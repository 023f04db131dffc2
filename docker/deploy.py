"""A deployment by Compose: bring it up, upgrade it, restart its parts, back it up.

    python docker/deploy.py up            images, secrets, migrations, then each service in turn; also upgrades
    python docker/deploy.py restart [SERVICE ...]     no run is lost: a node finishes what it has
    python docker/deploy.py backup DIR | restore DIR
    python docker/deploy.py node-token NAME           a token for a node on another machine
    python docker/deploy.py status | logs [SERVICE ...] | down [--data]

The deployment is in --home (TOUCHSTONE_HOME, default /var/lib/touchstone). On its first `up`, variables of
docker/compose.yml that are in the environment go into its settings.env; from then on that file counts.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import build_deploy
from _backup import backup, restore
from _deployment import DeployError, Deployment
from _images import say
from _services import begin, renew, restart, set_up


def up(deployment: Deployment, *, build: bool) -> None:
    """Bring it up, or upgrade what runs: the database first, then one service after the other."""
    if build and build_deploy.main([]) != 0:
        raise DeployError("The images could not be built; see above.")
    begin(deployment)
    set_up(deployment)
    renew(deployment)
    say(f"Touchstone runs at {deployment.settings['TOUCHSTONE_BASE_URL']}")


def node_token(deployment: Deployment, name: str) -> None:
    """Print a token for a node elsewhere; an older one of that name stops working."""
    argv = deployment.exec("web", "python3", "manage.py", "node_create", name, "--replace")
    if subprocess.run(argv, check=False).returncode != 0:
        raise DeployError(f"No token for {name!r}; see above.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("TOUCHSTONE_HOME") or "/var/lib/touchstone"))
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up").add_argument("--no-build", action="store_true", help="take the images that are there")
    commands.add_parser("restart").add_argument("services", nargs="*")
    for name in ("backup", "restore"):
        commands.add_parser(name).add_argument("folder", type=Path)
    commands.add_parser("node-token").add_argument("name")
    commands.add_parser("status")
    commands.add_parser("logs").add_argument("services", nargs="*")
    commands.add_parser("down").add_argument("--data", action="store_true", help="remove database and files too")
    return parser


def _perform(asked: argparse.Namespace) -> None:
    deployment = Deployment(asked.home)
    if asked.command == "up":
        up(deployment, build=not asked.no_build)
    elif asked.command == "restart":
        restart(deployment, asked.services)
    elif asked.command in ("backup", "restore"):
        (backup if asked.command == "backup" else restore)(deployment, asked.folder)
    elif asked.command == "node-token":
        node_token(deployment, asked.name)
    elif asked.command == "down":
        deployment.compose("down", *(["--volumes"] if asked.data else []))
    else:
        deployment.compose(*(["ps"] if asked.command == "status" else ["logs", "--follow", *asked.services]))


def main() -> int:
    try:
        _perform(_parser().parse_args())
    except DeployError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
