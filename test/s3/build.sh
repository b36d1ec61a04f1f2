#!/bin/sh
# Builds the S3-compatible server that the origin tests run against (versitygw, pinned in
# this folder's go.mod so that it stays out of the product's) to bin/versitygw.
set -eu
cd "$(dirname "$0")"
exec "${GO:-go}" build -o ../../bin/versitygw github.com/versity/versitygw/cmd/versitygw
