"""The form of one metric of a draft: an alias, and a typed field for each of its parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms
from django.forms.utils import ErrorDict
from django.http import QueryDict
from django.utils.translation import gettext as _

from touchstone.core.names import named
from touchstone.drafts.metric_parameters import KNOWN, Choices, Parameter, parameters_of, read, shown
from touchstone.web.parameter_texts import help_text, label, option

_ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TEXT, _SELECT = {"class": "form-control"}, {"class": "form-select"}
#: Choosing another shows the fields of what was chosen.
_OPENS = frozenset({"attack", "attacks", "defence"})


class MetricForm(forms.Form):
    """Fields from the catalogue. `values`: the parameters it begins with; `use` is what was filled in, once valid."""

    def __init__(
        self,
        metric: str,
        *,
        choices: Choices,
        values: Mapping[str, Any],
        alias: str = "",
        data: QueryDict | None = None,
    ) -> None:
        self.metric, self.choices = metric, choices
        self._values: dict[str, Any] = {}
        self.parameters = parameters_of(metric, _chosen(data) if data is not None else values, choices)
        super().__init__(_whole(data, self.parameters) if data is not None else None, auto_id="id_%s")
        help_alias = _(
            "A short name of your own, for using it twice or for short columns: letters, digits, _. Empty: %s."
        )
        self.fields["as"] = forms.CharField(
            label=_("Name"), required=False, initial=alias, max_length=64, widget=forms.TextInput(attrs=_TEXT),
            help_text=help_alias % metric,
        )  # fmt: skip
        for parameter in self.parameters:
            self.fields[parameter.name] = _field(metric, parameter, values)

    @property
    def opens(self) -> bool:
        """Whether a choice in it brings further fields."""
        return any(parameter.name in _OPENS for parameter in self.parameters)

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields in parts: the metric's own, those of each attack and of the defence, and those of checks."""
        found: dict[str, list[forms.BoundField]] = {"": [self["as"]]}
        for parameter in self.parameters:
            found.setdefault(_group(parameter), []).append(self[parameter.name])
        checks = found.pop(_("Checks"), None)
        return [*found.items(), *([(_("Checks"), checks)] if checks else [])]

    def clean(self) -> dict[str, Any]:
        """Typed values; every mistake stands at its field."""
        posted = {name: self._posted(name) for name in self.fields}
        reading = read(self.metric, posted, self.choices)
        for name, problems in reading.problems.items():
            for problem in problems:
                self.add_error(name if name in self.fields else None, problem)
        alias = str(posted["as"] or "").strip()
        if alias and not _ALIAS.fullmatch(alias):
            self.add_error("as", _("Use letters, digits and _, and begin with a letter."))
        self._values = reading.values
        return self.cleaned_data

    def _posted(self, name: str) -> Any:
        field = self.fields[name]
        return field.widget.value_from_datadict(self.data, self.files, name)

    def unasked(self) -> None:
        """Show what was typed without judging it: something was chosen that has fields of its own."""
        self._errors = ErrorDict()
        self.cleaned_data = {}

    def told(self) -> dict[str, Any]:
        """The metric as far as it can be read, sound or not, before it is saved; empty where a value cannot be read."""
        posted = {name: self[name].value() for name in self.fields}
        reading = read(self.metric, posted, self.choices)
        return {} if reading.problems else {"use": self.metric, **reading.values}

    @property
    def use(self) -> dict[str, Any]:
        """The metric as competition.yml has it."""
        alias = str(self._posted("as") or "").strip()
        return {"use": self.metric, **({"as": alias} if alias else {}), **self._values}


def _chosen(data: QueryDict) -> dict[str, Any]:
    return {"attack": data.get("attack"), "attacks": data.getlist("attacks"), "defence": data.get("defence")}


def _whole(data: QueryDict, parameters: Sequence[Parameter]) -> QueryDict:
    """With the defaults of those fields that a choice has just brought."""
    data = data.copy()
    for parameter in parameters:
        if parameter.name not in data and parameter.kind not in ("switch", "choices"):
            data[parameter.name] = shown(parameter, {})
    return data


def _group(parameter: Parameter) -> str:
    if parameter.owner:
        group, _dot, name = parameter.owner.partition(".")
        return named(str(KNOWN[group][name]["title"]))
    return _("Checks") if parameter.last.startswith("check_") else ""


def _field(metric: str, parameter: Parameter, values: Mapping[str, Any]) -> forms.Field:
    # Whether a field must be filled is asked by the reader of the whole form, with better words.
    common: dict[str, Any] = {
        "label": label(metric, parameter), "help_text": help_text(metric, parameter), "required": False,
        "initial": shown(parameter, values),
    }  # fmt: skip
    if parameter.kind == "switch":
        return forms.BooleanField(**common)
    named = [(name, _named(parameter, name)) for name in parameter.options]
    if parameter.kind == "choices":
        named += [(name, _("%s (not declared)") % name) for name in common["initial"] if name not in parameter.options]
        return forms.MultipleChoiceField(choices=named, widget=forms.CheckboxSelectMultiple, **common)
    if parameter.kind == "choice":
        current = common["initial"]
        if current and current not in parameter.options:
            named.append((current, _("%s (not declared)") % current))
        if parameter.empty or parameter.required:
            named.insert(0, ("", _("– choose –") if parameter.required else _("– none –")))
        return _Choice(choices=named, widget=forms.Select(attrs=_SELECT), **common)
    mode = {"inputmode": "numeric" if parameter.whole else "decimal"} if parameter.kind == "number" else {}
    if parameter.words:
        mode = {}
    if parameter.required:
        mode["aria-required"] = "true"
    return forms.CharField(widget=forms.TextInput(attrs={**_TEXT, **mode, "autocomplete": "off"}), **common)


class _Choice(forms.ChoiceField):
    """Whether a choice is among those there are is told by the check of the whole."""

    def valid_value(self, value: Any) -> bool:
        return True


def _named(parameter: Parameter, name: str) -> str:
    if parameter.picker in ("attacks", "defences"):
        entry = KNOWN[parameter.picker][name]
        needs = _("needs gradients") if entry.get("requires") == "gradients" else _("asks only")
        norms = ", ".join(option(norm) for norm in entry.get("norms", ()))
        title = named(str(entry["title"]))
        return f"{title} ({needs}; {norms})" if parameter.picker == "attacks" else title
    return name if parameter.picker else option(name)
