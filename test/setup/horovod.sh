#!/usr/bin/env bash
# Builds the Horovod wheel for the torch of a virtual environment, for gloo and MPI on the CPU.
# usage: horovod.sh VENV WHEELS
# Horovod 0.28.1 is older than C++20, which torch 2.15 asks for: some words of its files are changed.
set -euo pipefail
venv=$1 wheels=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
. "$venv/bin/activate"

pip download --quiet --no-deps --no-binary :all: --no-build-isolation -d "$work" horovod==0.28.1
tar xf "$work"/horovod-0.28.1.tar.gz -C "$work"
cd "$work/horovod-0.28.1"
sed -i 's/set(CMAKE_CXX_STANDARD 14)/set(CMAKE_CXX_STANDARD 20)/' CMakeLists.txt horovod/torch/CMakeLists.txt
sed -i 's/-std=c++11/-std=c++20/' third_party/gloo/CMakeLists.txt
# Four ranks on one machine need no fast code, and those who wait for it a fast compiler.
sed -i 's/"-O2" "-O3"/"-O2 -g" "-O0"/' CMakeLists.txt
# Most of the time goes into headers. Read once for twenty files, and of torch only those that are needed,
# they take 140 s of a processor instead of 400. Two files of gloo have the same name for different things.
sed -i '/^project(/a set(CMAKE_UNITY_BUILD ON)\nset(CMAKE_UNITY_BUILD_BATCH_SIZE 20)' CMakeLists.txt
sed -i 's/ReductionFunction/Reducer/' third_party/gloo/gloo/allreduce.cc
sed -i 's|<torch/extension.h>|<torch/csrc/utils/pybind.h>|; s|<torch/torch.h>|<torch/types.h>|' \
  horovod/torch/{adapter_v2.h,mpi_ops_v2.cc}

export HOROVOD_WITH_PYTORCH=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITH_MPI=1
export HOROVOD_WITHOUT_TENSORFLOW=1 HOROVOD_WITHOUT_MXNET=1
MAKEFLAGS=-j$(nproc) pip wheel --no-build-isolation --no-deps -w "$work/wheels" .
mkdir -p "$wheels"
mv "$work"/wheels/*.whl "$wheels/"
