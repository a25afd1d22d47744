"""What all generators share: writing files, and the error with a place."""


class SchemaError(Exception):
    """A mistake in a schema file; the text begins with file:line."""

    def __init__(self, path, line, text):
        super().__init__(f"{path}:{line}: {text}")


class Output:
    """The folder of generated files. Keeps the time stamp of what did not change."""

    def __init__(self, root):
        self.root = root

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_text() == text:
            return
        path.write_text(text)


def c_string(text):
    """A C literal of the text."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
