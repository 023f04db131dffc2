"""image: push to the platform's registry, see what is there, take it out."""

from __future__ import annotations

from typing import Annotated

import typer

from touchstone_client.cli import output
from touchstone_client.cli.group import connect

_Competition = Annotated[str, typer.Argument(metavar="COMPETITION", help="Its slug.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def add_to(app: typer.Typer) -> None:
    group = typer.Typer(help="Images in the platform's registry.", no_args_is_help=True, rich_markup_mode=None)
    group.command("push")(push)
    group.command("list")(list_images)
    group.command("remove")(remove)
    app.add_typer(group, name="image")


def push(
    ctx: typer.Context,
    local: Annotated[str, typer.Argument(metavar="IMAGE", help="A name or id that Docker on this machine knows.")],
    competition: Annotated[str, typer.Option("--competition", "-c", help="Slug of the competition it is for.")],
    name: Annotated[str, typer.Option(help="Its name in the registry. Default: its own, without host and tag.")] = "",
    json: _Json = False,
) -> None:
    """Push an image and print the name to submit it by: touchstone submit COMPETITION --image NAME.

    Uses the docker command of this machine. Your token is given to it for this push only, and nothing is left in
    ~/.docker.

    \b
    touchstone image push my-model:1 -c garments
    """
    from touchstone_client.pushing import push_image

    with connect(ctx, competition=competition) as client:
        place, me = client.image_place(competition), client.me()
    token = client.token  # the one in use: a job of a CI service exchanged its identity for it
    pushed = push_image(local, place=place, username=me.username, token=token, name=name, say=output.talk)
    output.talk(f"Pushed. Submit it with: touchstone submit {competition} --image {pushed}")
    if json:
        output.as_json({"image": pushed})
    else:
        output.data(pushed)


def list_images(ctx: typer.Context, competition: _Competition, json: _Json = False) -> None:
    """Show the images you pushed for a competition, the newest first.

    \b
    touchstone image list garments
    """
    from touchstone_client.cli.progress import megabytes

    with connect(ctx, competition=competition) as client:
        place = client.image_place(competition)
    if json:
        output.as_json({"place": place})
        return
    rows = [(item.image, item.tag, megabytes(item.size), item.pushed_at) for item in place.items]
    output.table(("image", "tag", "size", "pushed"), rows, dispensable=("tag",))
    if place.host:
        output.talk(f"{megabytes(place.used)} of {megabytes(place.quota)} used. Push to {place.prefix}/NAME")
    if place.why_not:
        output.talk(place.why_not)


def remove(
    ctx: typer.Context,
    image: Annotated[str, typer.Argument(metavar="NAME", help="As `touchstone image list` shows it, with @sha256:…")],
) -> None:
    """Take an image that you never submitted out of the registry.

    \b
    touchstone image remove HOST/garments/YOU/my-model@sha256:…
    """
    parts = image.split("/")
    if len(parts) < 4 or "@sha256:" not in image:
        raise typer.BadParameter(f"{image!r} is not of the form HOST/COMPETITION/YOU/NAME@sha256:…")
    with connect(ctx, competition=parts[1]) as client:
        client.image_remove(parts[1], image)
    output.talk(f"Removed {image}.")
