#!/bin/sh
# Make the private virtual environment $VENV. Called by `make`; safe to call again.
set -eu
PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}

if ! "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$PYTHON" --version 2>&1 || true)
    echo "setup: $PYTHON is ${found:-not there}; isogloss needs Python 3.11 or newer." >&2
    echo "setup: name one with: make PYTHON=/path/to/python3.11 ..." >&2
    exit 2
fi

echo "setup: virtual environment in $VENV (once; needs a package index)"
"$PYTHON" -m venv "$VENV"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
"$VENV/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable ".[visuals]" --group dev
touch "$VENV/.ready"
