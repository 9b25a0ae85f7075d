"""The data-set formats that preparation reads: {name, as `--format` takes it: Format}.

Every module of this package that defines `FORMAT` adds a format. They are sorted by name; which
format a folder is recognised as does not depend on the order.
"""

from importlib import import_module
from pkgutil import iter_modules

# Not __name__, because `python -m data_prep.formats` imports this file as data_prep.formats too.
_PACKAGE = "senet_kp.data_prep.formats"
_MODULES = [
    import_module(f"{_PACKAGE}.{module.name}")
    for module in iter_modules(__path__)
    if module.name != "__main__"
]
_FORMATS = [module.FORMAT for module in _MODULES if hasattr(module, "FORMAT")]
FORMATS = {format.name: format for format in sorted(_FORMATS, key=lambda format: format.name)}
