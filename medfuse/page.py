"""HTML pages from templates: what stands in them is escaped, and a name that the template lacks is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any


def page(template: Path, values: Mapping[str, Any], *, filters: Mapping[str, Callable[..., Any]] | None = None) -> str:
    """Fill a Jinja template.

    Args:
        template: The file.
        values: What it may name. Text is escaped unless it is `markupsafe.Markup`.
        filters: What it may put values through, beside Jinja's own.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters or {})
    return environment.get_template(template.name).render(values)
