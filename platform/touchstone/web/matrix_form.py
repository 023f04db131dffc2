"""The form that asks for a matrix of transferred examples, and how a matrix is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from runners.spec.catalogue_file import catalogue
from touchstone.competitions.models import Phase
from touchstone.core.names import named
from touchstone.transfers.selectors import Cell, MatrixView

#: Shades of the heat map, from all right to none; `tables.css` has a class for each.
_SHADES = 8
_SELECT = {"class": "form-select"}
_NUMBER = {"class": "form-control", "inputmode": "decimal"}


class MatrixForm(forms.Form):
    """The attack and its budget; what it leaves out has the attack's own defaults."""

    phase = forms.ChoiceField(label=_("Phase"), widget=forms.Select(attrs=_SELECT))
    attack = forms.ChoiceField(label=_("Attack"), initial="pgd", widget=forms.Select(attrs=_SELECT))
    norm = forms.ChoiceField(
        label=_("Norm"), choices=[("linf", "L∞"), ("l2", "L2")], initial="linf", widget=forms.Select(attrs=_SELECT)
    )
    eps = forms.FloatField(
        label=_("Budget"), min_value=1e-9, help_text=_("Eps, in the units of the inputs."),
        widget=forms.TextInput(attrs=_NUMBER),
    )  # fmt: skip
    items = forms.IntegerField(
        label=_("Items"), min_value=1, required=False, initial=200, help_text=_("Drawn from the split. Empty: all."),
        widget=forms.TextInput(attrs={**_NUMBER, "inputmode": "numeric"}),
    )  # fmt: skip

    def __init__(self, *args: Any, phases: list[Phase], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._phases = {phase.slug: phase for phase in phases}
        attacks = [(name, named(attack["title"])) for name, attack in catalogue()["attacks"].items()]
        self.fields["phase"].choices = [(phase.slug, phase.title) for phase in phases]  # type: ignore[attr-defined]
        self.fields["attack"].choices = sorted(attacks, key=lambda one: one[1])  # type: ignore[attr-defined]

    @property
    def chosen(self) -> Phase:
        """The phase of a valid form."""
        return self._phases[self.cleaned_data["phase"]]

    @property
    def parameters(self) -> dict[str, Any]:
        """Those of the metric, of a valid form."""
        given = {name: self.cleaned_data[name] for name in ("attack", "norm", "eps", "items")}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class ShownCell:
    """A cell as the table has it. `shade`: from 0, all right, to 7, none; None where there is no value."""

    text: str
    interval: str
    shade: int | None
    own: bool
    title: str | Promise


@dataclass(frozen=True)
class ShownRow:
    """A row of the heat map."""

    name: str
    cells: list[ShownCell]


def shown_rows(view: MatrixView) -> list[ShownRow]:
    """A row for each model that examples were made against, with a cell for each submission."""
    return [
        ShownRow(row.name, [shown_cell(column.accuracy[number]) for column in view.columns])
        for number, row in enumerate(view.rows)
    ]


def shown_cell(cell: Cell) -> ShownCell:
    """A number with its interval, or a word for why there is none."""
    if cell.value is None:
        return ShownCell(_WORDS.get(cell.state, "–"), "", None, cell.own, cell.reason)
    interval = "" if cell.low is None or cell.high is None else f"{cell.low:.3f} – {cell.high:.3f}"
    shade = min(_SHADES - 1, int((1 - cell.value) * _SHADES))
    return ShownCell(f"{cell.value:.3f}", interval, shade, cell.own, f"n = {cell.n}" if cell.n is not None else "")


_WORDS: dict[str, Any] = {
    "waiting": _("waiting"), "running": _("running"), "failed": _("failed"), "cancelled": _("cancelled"),
}  # fmt: skip
