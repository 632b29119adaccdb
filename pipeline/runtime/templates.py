"""Render Jinja2 templates: the files of the folder `page` of a package, for HTML pages and markdown notes."""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from pipeline.runtime.markdown import escape

if TYPE_CHECKING:
    from jinja2 import Environment


def render(package: str, name: str, **values: Any) -> str:
    """Fill in a template of a package; in `.html.j2` templates, all text is escaped.

    Raises ValueError if the template reads a value that is absent.
    """
    from jinja2 import UndefinedError

    try:
        return _environment(package).get_template(name).render(values)
    except UndefinedError as error:
        raise ValueError(f"{name}: {error}") from error


def page_file(package: str, name: str) -> str:
    """The text of a file beside the templates of a package, such as a style sheet."""
    return (resources.files(package) / "page" / name).read_text("utf-8")


@cache
def _environment(package: str) -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        loader=FunctionLoader(lambda name: page_file(package, name)),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "markdown": escape,
        "thousands": "{:,.0f}".format,
        "decimal": lambda score: "undefined" if score is None else f"{score:.4f}",
    }
    return environment
