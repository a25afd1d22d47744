#!/usr/bin/env python3
"""The generator: schema/ -> C. Usage: gen.py --schema DIR --out DIR.

Writes only files whose content changed, so that a build after a change of one schema compiles little.
What each part makes is told at the head of its module (gen_*.py) and in tools/README.md.
"""

import argparse
import pathlib
import sys

import gen_apis
import gen_errors
import gen_messages
from gen_model import Schema
from gen_output import Output, SchemaError


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--schema", type=pathlib.Path, required=True, help="folder of the schema")
    parser.add_argument("--out", type=pathlib.Path, required=True, help="folder for generated code")
    arguments = parser.parse_args()
    out = Output(arguments.out)
    try:
        gen_errors.generate(arguments.schema / "errors", out)
        schema = Schema(arguments.schema)
        gen_messages.generate(schema, out)
        gen_apis.generate(schema, out)
    except SchemaError as error:
        sys.exit(f"{error}")


if __name__ == "__main__":
    main()
