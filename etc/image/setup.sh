#!/bin/sh
# Runs as root inside the new image; node's files from the wheel are in /usr/local already. Both ways of building the
# image (Dockerfile, and etc/quickstart/image.py with mmdebstrap) run this, so that their contents are the same.
set -eu

# A wheel holds no symbolic links, so its launchers point nowhere: make the ones that node's own tarballs have.
ln -sf ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
ln -sf ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
ln -sf ../lib/node_modules/corepack/dist/corepack.js /usr/local/bin/corepack

groupadd --gid 1000 sandbox
useradd --uid 1000 --gid 1000 --create-home --shell /bin/bash sandbox
install --directory --owner=sandbox --group=sandbox --mode=755 /workspace

python3 --version
node --version
npm --version
rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /tmp/node-compile-cache
