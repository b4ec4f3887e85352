#!/bin/sh
# The first stage of the Dockerfile. It needs no Docker:
#   build.sh cpu|cuda PREFIX
# creates a virtual environment at PREFIX with pinned packages and this checkout's wheel.
set -eu
variant=$1 prefix=$2
cd "$(dirname "$0")/../.."
tools=$(mktemp -d)
trap 'rm -rf "$tools"' EXIT
python3 -m venv "$tools/venv"
"$tools/venv/bin/pip" install --quiet --require-hashes -r requirements/bootstrap.txt
uv="$tools/venv/bin/uv"
"$uv" venv --quiet --python "$(command -v python3)" "$prefix"
"$uv" pip install --quiet --python "$prefix/bin/python" --require-hashes -r "requirements/$variant.txt"
"$uv" build --quiet --wheel --out-dir "$tools/dist" .
"$uv" pip install --quiet --python "$prefix/bin/python" --no-deps "$tools"/dist/*.whl
# Compiles bytecode now, as the image's file system is read-only for its user.
"$prefix/bin/python" -m compileall -q "$prefix/lib"
