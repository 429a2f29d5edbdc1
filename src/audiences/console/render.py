"""Templates to HTML. A name that a template uses and nobody gave it is a fault, and no blank."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from audiences.console import assets, shapes


@cache
def environment() -> Environment:
    """Jinja with our filters, and the macros of `parts.html` under the name `ui` in every template."""
    made = Environment(
        loader=PackageLoader("audiences.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "number": shapes.number,
        "bytes": shapes.size,
        "country": shapes.country,
        "time": in_zone(shapes.time_of),
        "day": in_zone(shapes.day_of),
    }
    made.globals |= {"asset": assets.url, "shares": shapes.shares, "percent": shapes.percent, "query": shapes.query}
    # Macros are given what they show; none looks at the page that it stands in.
    made.globals["ui"] = made.get_template("parts.html").module
    return made


def html(template: str, context: Mapping[str, Any], block: str | None = None) -> str:
    """The template, or one `block` of it, in that context."""
    found = environment().get_template(template)
    if block is None:
        return found.render(context)
    return "".join(found.blocks[block](found.new_context(dict(context))))


def in_zone(write: Any) -> Any:  # noqa: ANN401 - a filter is whatever Jinja calls
    """A filter that writes a moment in the user's time zone."""

    @pass_context
    def written(context: Context, moment: int | None) -> Markup:
        return Markup("–") if moment is None else write(moment, context.get("zone", "UTC"))  # noqa: RUF001

    return written
