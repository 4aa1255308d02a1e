"""Templates of self-contained HTML pages."""

from __future__ import annotations

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template


def template(package: str, name: str) -> Template:
    """Return a template of a package, which may extend this one's `base.html.j2`.

    All text that is rendered is escaped, unless it is `Markup` already.

    Args:
        package: Where its folder `templates` is.
        name: File name of the template.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("kd_keras.evaluate")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name)
