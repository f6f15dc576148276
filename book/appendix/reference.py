"""What the reference pages need beyond Sphinx.

The arguments of Keras classes, and lines on shapes set as fields.
"""

import inspect
import re


def arguments(app, what, name, obj, options, signature, annotation):
    """Return what a constructor takes: Keras shows `*args, **kwargs`."""
    if what != "class" or obj.__init__ is object.__init__:
        return None
    _, *parameters = inspect.signature(obj.__init__).parameters.values()
    plain = [
        parameter.replace(annotation=parameter.empty)
        for parameter in parameters
    ]
    return str(inspect.Signature(plain)), annotation


def shapes(app, what, name, obj, options, lines):
    """Set "Input shape: ..." and its kin as fields, as arguments are."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(r"^((?:Input|Output)(?: shape)?: )", r":\1", line)


def setup(app):
    """Connect both, before napoleon reads the docstring."""
    app.connect("autodoc-process-signature", arguments)
    app.connect("autodoc-process-docstring", shapes, priority=400)
    return {"parallel_read_safe": True}
