"""Permission to follow import paths that folders and files contain."""

from games import plugins


def trust_imports(*paths: str) -> None:
    """Lets this process import games, networks and other parts that folders and files name.

    Importing runs the code of the named module, so name only paths whose code you trust. A command
    trusts the paths that were typed on its command line; a Python program trusts none until it
    calls this function. Options behind a path are ignored.

    Args:
        *paths: import paths, MODULE:NAME, as in "my_package.my_game:MyGame".

    Raises:
        ValueError: a text is not an import path.
    """
    for path in paths:
        if not plugins.is_import_path(path.partition("?")[0]):
            raise ValueError(f"{path!r} is not an import path; write MODULE:NAME")
    plugins.trust(paths)
