#!/usr/bin/env bash
# The trainer of ../pytorch-ddp on several nodes. The same line on each node:
#
#   RANKZERO_SECRET_FILE=~/.rankzero/secret ./digits.sh HEAD [NODES]
#
# HEAD is the name of one of the nodes, as the others know it; rankzero's session is kept there.
# The secret is a file with the same bytes on every node, readable by you alone:
#
#   (umask 077; head -c 32 /dev/urandom | base64 > ~/.rankzero/secret), then copy it to the other nodes
#
# Without it (and without a shared run directory) the other nodes' points stay on their disks.
set -euo pipefail
head=$1 nodes=${2:-2}
cd "$(dirname "$0")/../pytorch-ddp"
exec rankzero run -- torchrun --nnodes "$nodes" --nproc-per-node 2 \
  --rdzv-backend c10d --rdzv-endpoint "$head:29400" --rdzv-id digits train.py --steps 60
