#!/bin/sh
# Installs the service into a new virtual environment: the locked packages by their hashes, then the service itself.
# Usage, from the top of the checkout: deploy/install.sh FOLDER
set -eu
to=$1
python3 -m venv "$to"
"$to/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps --require-hashes -r requirements.lock
"$to/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --no-deps .
find "$to" -name __pycache__ -type d -prune -exec rm -rf {} +
